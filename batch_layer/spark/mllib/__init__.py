"""MLlib's alternating least squares on a generation's files: the plain reference, which shuffles its factors."""

from batch_layer.spark.mllib.fitting import fit_mllib
from batch_layer.spark.mllib.training import fit

__all__ = ["fit", "fit_mllib"]
