"""Epochs as they are followed: found, replayed, announced, and left for the next; how they are loaded is `loading`.

May import the folds, sharing and publishing; `speed_layer.layer` steps what is here.
"""
