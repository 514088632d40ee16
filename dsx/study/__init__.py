"""Studies: search a space, remember every measurement, find the front."""
