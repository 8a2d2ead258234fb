"""Which lock keeps a run alone, by the settings."""

from batch_layer.lease import FileLease
from batch_layer.lock import FileLock, RunLock
from oryx_py.adapters.local_files import LocalFiles
from oryx_py.adapters.places import local_folder, open_files, reach_of
from oryx_py.config import Settings
from oryx_py.ports import Clock

__all__ = ["run_lock"]


def run_lock(settings: Settings, clock: Clock) -> RunLock:
    """Return the lock beside the registry, whose place takes exclusive files.

    Raises:
        ConfigError: a place that cannot be used.
    """
    files = open_files(f"{settings.registry_uri.rstrip('/')}/lease", "store.uri", reach_of(settings))
    if isinstance(files, LocalFiles):
        return FileLock(local_folder(settings.registry_uri, "store.uri") / "batch.lock")
    return FileLease(files, clock)
