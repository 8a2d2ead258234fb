"""Which epochs there are, what was announced of them, and who may speak for them."""
