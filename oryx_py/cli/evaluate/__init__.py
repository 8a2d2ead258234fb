"""``oryx evaluate``: what a model, and keeping it up to date, is worth on one's own interactions."""
