"""Which lock keeps a run alone, by the settings."""

from batch_layer.locking.file_lease import FileLease
from batch_layer.locking.file_lock import FileLock
from batch_layer.locking.run_lock import RunLock
from oryx_py.adapters.file_systems.local_files import LocalFiles
from oryx_py.adapters.places import local_folder, open_files, reach_of
from oryx_py.config import Settings
from oryx_py.ports import Clock

__all__ = ["open_lock"]


def open_lock(settings: Settings, clock: Clock) -> RunLock:
    """Return the lock beside the registry, whose place takes exclusive files.

    Raises:
        ConfigError: a place that cannot be used.
    """
    files = open_files(f"{settings.registry_uri.rstrip('/')}/lease", "store.uri", reach_of(settings))
    if isinstance(files, LocalFiles):
        return FileLock(local_folder(settings.registry_uri, "store.uri") / "batch.lock")
    return FileLease(files, clock)
