"""Interactions: parsing, encoding, and the fold of their log."""
