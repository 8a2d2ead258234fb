"""Where generations, their registry and the history's commits lie below the two configured places.

==================================  ====================================================
``<store.uri>/generations/<name>``  a generation
``<store.uri>/registry/<number>``   a commit of the registry
``<history.uri>/commits/<number>``  a commit of the history
``<history.uri>/data/…``            the rows that commits name
==================================  ====================================================
"""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from oryx_py.adapters.commit_log import LocalCommitLog
from oryx_py.adapters.history_log import HistoryLog
from oryx_py.adapters.local_store import LocalStore
from oryx_py.adapters.registry_log import RegistryLog
from oryx_py.errors import ConfigError
from oryx_py.ports.store import ArtefactStore

__all__ = ["history_log", "local_folder", "open_registry", "open_store"]


def open_store(uri: str) -> ArtefactStore:
    """Return the generations' store.

    Raises:
        ConfigError: this kind of place cannot hold it.
    """
    return LocalStore(local_folder(uri, "store.uri") / "generations")


def open_registry(uri: str) -> RegistryLog:
    """Return the registry.

    Raises:
        ConfigError: this kind of place cannot hold it.
    """
    return RegistryLog(LocalCommitLog(local_folder(uri, "store.uri") / "registry"))


def history_log(uri: str) -> HistoryLog:
    """Return the history's commits.

    Raises:
        ConfigError: this kind of place cannot hold them.
    """
    return HistoryLog(LocalCommitLog(local_folder(uri, "history.uri") / "commits"))


def local_folder(uri: str, setting: str) -> Path:
    """Return the folder that a path or a ``file://`` URI names.

    Raises:
        ConfigError: it is a URI of another kind.
    """
    parts = urlsplit(uri)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"}:
        return Path(unquote(parts.path))
    if parts.scheme and "://" in uri:
        raise ConfigError(
            f"{setting} = {uri!r}: only a folder of this machine, as a path or file:// URI, can be used so far"
        )
    return Path(uri)
