"""The history's rows as Spark's frames: read from the topic, weighed, without repeats, brought together, written anew.

Each is a function of `batch_layer.folding` given to tasks. Imports `session`.
"""
