"""From a generation, checkpoints and topics to an epoch's run that can be followed.

May import epochs and everything below them; knows no loop.
"""
