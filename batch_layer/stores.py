"""What outlives a run, and where: opened once for all who look at it, since the logs remember what they have read."""

from dataclasses import dataclass

from batch_layer.history.folder import HistoryFolder
from oryx_py.adapters.commit_logs.history_log import HistoryLog
from oryx_py.adapters.commit_logs.registry_log import RegistryLog
from oryx_py.adapters.places import history_log, open_checkpoints, open_files, open_registry, open_store, reach_of
from oryx_py.config import Settings
from oryx_py.ports import ArtefactStore

__all__ = ["Stored", "open_stored"]


@dataclass(frozen=True, slots=True)
class Stored:
    """The registry, the generations, the speed layer's checkpoints, the history's commits, and its rows."""

    registry: RegistryLog
    store: ArtefactStore
    checkpoints: ArtefactStore
    history: HistoryLog
    folder: HistoryFolder


def open_stored(settings: Settings) -> Stored:
    """Open all of it.

    Args:
        settings: located ones.

    Raises:
        ConfigError: a place that cannot be used.
        MissingDependency: a package that reaches it is not installed.
    """
    reach = reach_of(settings)
    return Stored(
        registry=open_registry(settings.registry_uri, reach),
        store=open_store(settings.store_uri, reach),
        checkpoints=open_checkpoints(settings.store_uri, reach),
        history=history_log(settings.history_uri, reach),
        folder=HistoryFolder(open_files(settings.history_uri, "history.uri", reach)),
    )
