"""Sharing the one event loop: what goes to a thread, whose turn it is, how long it may take, who is woken.

Knows nothing of this service, and imports nothing of it.
"""
