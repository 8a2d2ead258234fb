"""Alternating least squares: both sides' factors from the observed pairs."""

from oryx_py.numerics.als.matrix import Observed, observed
from oryx_py.numerics.als.training import Trained, improved, loss, start, sweeps

__all__ = ["Observed", "Trained", "improved", "loss", "observed", "start", "sweeps"]
