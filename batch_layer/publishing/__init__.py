"""Epochs: a generation goes live, an earlier one does so again, and what a dead process left half done is finished.

Imports nothing of the other rooms: it works on the registry, the store of generations and the update topic.
"""
