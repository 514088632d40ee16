"""What people see of a study: tables, plots and rows of its front, which is only read here."""
