"""Training where neither side need fit a task's memory: blocks of factors are files, and tasks read what they need."""

from batch_layer.training.blocks.cutting import SIDES, Cuts, Factors, Sources, cut_sides, least_task_bytes
from batch_layer.training.blocks.solving import solve_in_blocks
from batch_layer.training.blocks.workers import BlockWorkers, RunGroups

__all__ = [
    "SIDES",
    "BlockWorkers",
    "Cuts",
    "Factors",
    "RunGroups",
    "Sources",
    "cut_sides",
    "least_task_bytes",
    "solve_in_blocks",
]
