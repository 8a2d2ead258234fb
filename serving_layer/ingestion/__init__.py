"""Bulk writes of any size in bounded memory: read line by line while they arrive, spooled, then sent."""
