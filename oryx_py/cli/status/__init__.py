"""``oryx status``: how all layers are, in one table."""
