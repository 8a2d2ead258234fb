"""The endpoints: each parses, asks, renders."""
