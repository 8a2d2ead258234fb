"""Checkpoints: what one epoch's state has beyond its generation, pruned, as files, and several brought together."""
