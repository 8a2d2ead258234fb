"""What the speed layer says of itself: counters, gauges and its lag behind the input.

Imports nothing else of the layer.
"""
