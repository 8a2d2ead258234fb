"""Everything in which one epoch's state differs from its generation, as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from oryx_py.model.ids.traces import Traces
from oryx_py.model.state.histories import HistoryChanges

__all__ = ["Offsets", "StateChanges", "VectorChanges"]

Offsets = tuple[NDArray[np.int64], NDArray[np.int64]]
"""int64[n] handles, ascending, and int64[n] the offset of the newest message applied to each."""


@dataclass(frozen=True, slots=True, eq=False)
class VectorChanges:
    """``handles`` int64[m], none twice; their vectors float32[m, k]; ``present`` bool[m]: whether they have one."""

    handles: NDArray[np.int64]
    matrix: NDArray[np.float32]
    present: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class StateChanges:
    """What `ModelState` dumps and loads; handles as in `IdSpace`: rows of the generation, then the new IDs' numbers.

    ``new_users`` and ``new_items``: IDs, by handle from the generation's size on. ``forgotten_items`` int64[f].
    ``user_inputs`` and ``item_inputs``: the newest message applied to each. ``user_traces`` and ``item_traces``: what
    stays of IDs that are named nowhere.
    """

    new_users: Sequence[str]
    new_items: Sequence[str]
    user_vectors: VectorChanges
    item_vectors: VectorChanges
    histories: HistoryChanges
    forgotten_items: NDArray[np.int64]
    user_inputs: Offsets
    item_inputs: Offsets
    user_traces: Traces = field(default_factory=Traces.none)
    item_traces: Traces = field(default_factory=Traces.none)
