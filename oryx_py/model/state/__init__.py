"""The state of one epoch: what updates have changed of a generation's vectors and histories."""
