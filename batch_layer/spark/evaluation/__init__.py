"""How good a model is for the newest interactions, when it was trained without them."""

from batch_layer.spark.evaluation.evaluating import Evaluated, Fit, evaluate

__all__ = ["Evaluated", "Fit", "evaluate"]
