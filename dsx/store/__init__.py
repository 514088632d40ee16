"""Persistence: everything that dsx stores in a database or in the folder of a study."""
