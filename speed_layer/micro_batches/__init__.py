"""Interactions that wait to be folded, and the micro-batches cut from them: from records to the pairs they change.

Nothing is solved here. Imports nothing else of the layer.
"""
