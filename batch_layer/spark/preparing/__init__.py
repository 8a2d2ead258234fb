"""From the history's rows to the IDs and histories of a generation, in the files where they stay."""

from batch_layer.spark.preparing.preparation import parts_for, prepare
from batch_layer.spark.preparing.prepared import Prepared

__all__ = ["Prepared", "parts_for", "prepare"]
