"""Checkpoints of the newest live epoch: when one is taken, what it has, who writes it and which are deleted.

May import epochs and everything below them.
"""
