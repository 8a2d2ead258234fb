"""Recursive least squares: the systems of rows that come often, kept from one solution to the next."""
