"""Clients' connections, from the socket to a handler: accepted, bounded in time and bytes, refused in our own words.

What is plain and quick the connection answers itself (`fast_reads`, `fast_writes`); all else goes to aiohttp. May
import everything but the modules that put the layer together.
"""
