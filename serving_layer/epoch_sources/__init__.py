"""Which epochs there are, which to hold and to serve, and how one is loaded: of our own batch layer, or of Oryx 2's.

May import `model`; nothing here knows HTTP or the loop.
"""
