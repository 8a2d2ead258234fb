"""IDs: tables of them in files, handles for those that came since, and what stays of one that nobody has."""
