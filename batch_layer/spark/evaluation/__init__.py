"""How good a model is for the newest interactions, when it was trained without them."""

from batch_layer.spark.evaluation.evaluating import Evaluated, evaluate

__all__ = ["Evaluated", "evaluate"]
