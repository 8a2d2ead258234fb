"""The serving layer: HTTP over a model in memory."""
