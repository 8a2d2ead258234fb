"""The command ``oryx``."""
