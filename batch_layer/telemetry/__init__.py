"""How far a run is and what it took: reports of progress, how they are shown, the layer's metrics, seconds by step.

Everybody reports to here, so it imports no other room.
"""
