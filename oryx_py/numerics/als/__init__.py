"""Alternating least squares: both sides' factors from the observed pairs."""

from oryx_py.numerics.als.in_memory import fitted
from oryx_py.numerics.als.matrix import LARGEST, Observed, observed, weighed
from oryx_py.numerics.als.stopping import Epoch, Plan, best_of, is_over
from oryx_py.numerics.als.sweeping import SideName, State, Workers, start, sweep
from oryx_py.numerics.als.threads import Threads
from oryx_py.numerics.als.training import Course, Score, loss, train

__all__ = [
    "LARGEST",
    "Course",
    "Epoch",
    "Observed",
    "Plan",
    "Score",
    "SideName",
    "State",
    "Threads",
    "Workers",
    "best_of",
    "fitted",
    "is_over",
    "loss",
    "observed",
    "start",
    "sweep",
    "train",
    "weighed",
]
