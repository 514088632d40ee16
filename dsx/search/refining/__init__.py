"""Refinement of a study: repeated measurements that decide which designs are on the front."""
