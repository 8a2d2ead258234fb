"""One run at a time: the lock of runs, on a file or as a lease where many machines reach it, and which of them it is.

Imports no other room.
"""
