"""What a run is made of: its steps, what it can come to, and what it works with."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np

from batch_layer.engine import Engine
from batch_layer.history.base_finder import FindBase, no_base
from batch_layer.history.folder import HistoryFolder
from batch_layer.housekeeping.file_merging import MergeFiles, unmerged
from batch_layer.housekeeping.pruning import Prune, unpruned
from batch_layer.publishing.publisher import Publisher
from batch_layer.telemetry.metrics import Metrics
from batch_layer.telemetry.progress import OnProgress, unheard
from oryx_py.adapters.commit_logs.history_log import HistoryLog
from oryx_py.adapters.commit_logs.registry_log import RegistryLog
from oryx_py.model.epochs.registry import Registry
from oryx_py.model.generations.writer import BuildIndex
from oryx_py.model.history.commits import History
from oryx_py.ports import ArtefactStore, Clock, TopicAdmin

__all__ = ["Outcome", "Parts", "Step"]


class Step(Enum):
    """The steps of a run, in their order."""

    RECOVERED = "recover"
    ROWS_WRITTEN = "a"
    HISTORY_COMMITTED = "b"
    TRAINED = "c"
    GENERATION_WRITTEN = "d"
    GENERATION_COMMITTED = "e"
    EPOCH_STARTED = "f"
    EPOCH_ANNOUNCED = "g"
    TIDIED = "h"


class Outcome(Enum):
    """What a run came to."""

    PUBLISHED = "a new generation is live"
    NOTHING_NEW = "a generation covers all input"
    NO_PAIRS = "nobody has done anything yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the layer works with."""

    registry: RegistryLog
    store: ArtefactStore
    history: HistoryLog
    folder: HistoryFolder
    admin: TopicAdmin
    publisher: Publisher
    engine: Engine
    clock: Clock
    rng: np.random.Generator
    """Names generations and directories apart; no result depends on it."""
    metrics: Metrics
    build_index: BuildIndex = lambda _factors, _into: None
    """`oryx_py.ports.index.IndexBuilder.build`; by itself, no index."""
    tidy: Callable[[Registry, History], None] = lambda _registry, _history: None
    """Step (h); must not raise (`batch_layer.housekeeping.after_epoch`)."""
    prune: Prune = unpruned
    find_base: FindBase = no_base
    merge: MergeFiles = unmerged
    """The last part of step (h); must not raise, as ``tidy``."""
    on_progress: OnProgress = unheard
