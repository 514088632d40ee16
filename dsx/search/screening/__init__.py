"""Screening: the search for designs by models of their values, before anything is measured."""
