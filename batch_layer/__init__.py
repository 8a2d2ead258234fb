"""The batch layer: history, training, generations."""
