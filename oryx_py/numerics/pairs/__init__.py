"""Pairs of users and items as compressed sparse rows and as what has changed above them."""
