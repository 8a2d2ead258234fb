"""A vector from a history: the dense reference, the compiled ways for many rows at once, and Oryx 2's rule."""
