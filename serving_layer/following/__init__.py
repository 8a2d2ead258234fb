"""Keeping a model up to date: epochs held beside the one that is served, followed on the update topic, and swapped.

May import `epoch_sources` and `model`; requests see it as a `serving_layer.model.model_provider.ModelProvider`.
"""
