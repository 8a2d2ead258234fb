"""From a generation's IDs and histories to its factors."""

from batch_layer.spark.fitting.choice import TASK_BYTES, TRAINING_TASKS
from batch_layer.spark.fitting.feasibility import foresee_disk, foresee_memory, foreseen
from batch_layer.spark.fitting.fitted import Fitted
from batch_layer.spark.fitting.fitting import fit_generation
from batch_layer.spark.fitting.published_factors import publish_items, solve_users

__all__ = [
    "TASK_BYTES",
    "TRAINING_TASKS",
    "Fitted",
    "fit_generation",
    "foresee_disk",
    "foresee_memory",
    "foreseen",
    "publish_items",
    "solve_users",
]
