"""The store: everything that is kept in a database or in the folder of a study."""
