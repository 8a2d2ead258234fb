"""Which vectors are to be solved, in what order and within what budget, and what solves them.

Imports nothing else of the layer.
"""
