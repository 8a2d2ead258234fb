"""Where generations, their registry and the history's commits lie below the configured places.

=====================================  ====================================================
``<store.uri>/generations/<name>``     a generation
``<store.uri>/checkpoints/<name>``     a checkpoint of the speed layer
``<store.uri>/registry/<number>``      a commit of the registry, or below ``store.registry_uri``
``<history.uri>/commits/<number>``     a commit of the history
``<history.uri>/data/…``               the rows that commits name
=====================================  ====================================================

A place is a folder of this machine (a path or ``file://``), one in HDFS (``hdfs://``, ``webhdfs://``), or, for
generations alone, what fsspec reaches.
"""

import hashlib
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from oryx_py.adapters.commit_logs.commit_log import FileCommitLog
from oryx_py.adapters.commit_logs.history_log import HistoryLog
from oryx_py.adapters.commit_logs.registry_log import RegistryLog
from oryx_py.adapters.file_systems.fsspec_files import FsspecFiles
from oryx_py.adapters.file_systems.local_files import LocalFiles
from oryx_py.adapters.file_systems.webhdfs_client import WebHdfs
from oryx_py.adapters.file_systems.webhdfs_files import WebHdfsFiles
from oryx_py.adapters.generation_stores.cache import GenerationCache
from oryx_py.adapters.generation_stores.local_store import LocalStore
from oryx_py.adapters.generation_stores.remote_store import RemoteStore
from oryx_py.config import Settings
from oryx_py.config.groups import LOCAL_HDFS
from oryx_py.errors import ConfigError
from oryx_py.ports.files import Files
from oryx_py.ports.store import ArtefactStore

__all__ = [
    "Reach",
    "Work",
    "check_places",
    "history_log",
    "local_folder",
    "open_checkpoints",
    "open_files",
    "open_registry",
    "open_store",
    "reach_of",
    "work_of",
]

_HTTP_OF = {"webhdfs": "http", "swebhdfs": "https"}


@dataclass(frozen=True, slots=True)
class Reach:
    """How places beyond this machine are reached, and where their generations are copied to.

    Attributes:
        webhdfs_url: of the cluster that ``hdfs://`` means; "" for none.
        replication: copies of each block in HDFS, 0 for the cluster's default.
        cache_dir: local copies; None where nothing is copied.
        cache_bytes: bound of these.
        staging: where generations are written before they are copied; None for a folder of the cache.
    """

    webhdfs_url: str = ""
    replication: int = 0
    cache_dir: Path | None = None
    cache_bytes: int = 20 * 1024**3
    staging: Path | None = None


def reach_of(settings: Settings) -> Reach:
    """Return what these settings say."""
    return Reach(
        webhdfs_url=settings.hdfs.webhdfs_url,
        replication=settings.hdfs.replication,
        cache_dir=settings.cache_dir,
        cache_bytes=settings.store.cache_bytes,
        staging=_staging_of(settings),
    )


class Work(NamedTuple):
    """Where the batch layer works: ``folder`` of this host and, where tasks do not meet there, ``uri``, else ""."""

    folder: Path
    uri: str


def work_of(settings: Settings) -> Work:
    """Return the places below `batch.work_dir` that are this store's own: what is in them may be removed, nothing else.

    They are named after the store; after this host too where that is on its disk and others may work in the same
    place with a store of the same path.
    """
    identity = settings.store_uri
    if _is_local(identity) and settings.batch.work_dir:
        identity = f"{socket.gethostname()}:{identity}"
    name = f"oryx-{hashlib.blake2b(identity.encode(), digest_size=6).hexdigest()}"
    return Work(settings.work_dir / name, _below(settings.work_uri, name) if settings.work_uri else "")


def _staging_of(settings: Settings) -> Path | None:
    """On a cluster the executors write the generation's files, where all see the same folder."""
    if not settings.batch.work_dir or settings.work_uri:
        return None
    own = work_of(settings).folder
    return own.with_name(f"{own.name}.staged")


def check_places(settings: Settings) -> None:
    """Look whether these settings' places can hold what they are to hold; asks none of them.

    Raises:
        ConfigError, MissingDependency: as the functions below say.
    """
    reach = reach_of(settings)
    for uri, opened in (
        (settings.registry_uri, open_registry),
        (settings.store_uri, open_store),
        (settings.history_uri, history_log),
    ):
        if not uri.startswith(f"hdfs://{LOCAL_HDFS}/"):  # this machine's own, whose address is known when it runs
            opened(uri, reach)


def open_store(uri: str, reach: Reach = Reach()) -> ArtefactStore:
    """Return the generations' store.

    Raises:
        ConfigError: this kind of place cannot hold it.
        MissingDependency: a package that reaches it is not installed.
    """
    return _directories(uri, "generations", reach, lambda cache: cache)


def open_checkpoints(uri: str, reach: Reach = Reach()) -> ArtefactStore:
    """Return the store of checkpoints, beside the generations'; raises what that does."""
    here = replace(reach, staging=None)  # written by the speed layer's own host
    return _directories(uri, "checkpoints", here, lambda cache: cache / ".checkpoints")


def _directories(uri: str, name: str, reach: Reach, cached_in: Callable[[Path], Path]) -> ArtefactStore:
    if _is_local(uri):
        return LocalStore(local_folder(uri, "store.uri") / name)
    files = open_files(_below(uri, name), "store.uri", reach)
    if reach.cache_dir is None:
        raise ConfigError(f"store.uri = {uri!r}: set store.cache_dir to a folder for copies of its generations")
    cache_dir = cached_in(reach.cache_dir)
    return RemoteStore(files, reach.staging or cache_dir / ".staged", GenerationCache(cache_dir, reach.cache_bytes))


def open_registry(uri: str, reach: Reach = Reach()) -> RegistryLog:
    """Return the registry.

    Raises:
        ConfigError: this kind of place cannot hold it.
        MissingDependency: a package that reaches it is not installed.
    """
    files = open_files(_below(uri, "registry"), "store.uri", reach)
    if not files.exclusive:
        raise ConfigError(
            f"store.uri = {uri!r} takes generations only, as nothing there is created exclusively: "
            "set store.registry_uri to a folder or to hdfs://"
        )
    return RegistryLog(FileCommitLog(files))


def history_log(uri: str, reach: Reach = Reach()) -> HistoryLog:
    """Return the history's commits.

    Raises:
        ConfigError: this kind of place cannot hold them.
        MissingDependency: a package that reaches it is not installed.
    """
    files = open_files(uri, "history.uri", reach)
    if not files.exclusive:
        raise ConfigError(
            f"history.uri = {uri!r}: nothing there is created exclusively, so it takes generations only: "
            "set history.uri to a folder or to hdfs://"
        )
    return HistoryLog(FileCommitLog(files, "commits"))


def open_files(uri: str, setting: str, reach: Reach = Reach()) -> Files:
    """Return the files below a place.

    Raises:
        ConfigError: HDFS is meant, and nothing says where its WebHDFS is; or the place is no URI that can be reached.
        MissingDependency: a package that reaches it is not installed.
    """
    if _is_local(uri):
        return LocalFiles(local_folder(uri, setting))
    parts = urlsplit(uri)
    if parts.scheme == "hdfs":
        if not reach.webhdfs_url:
            raise ConfigError(f"{setting} = {uri!r}: set hdfs.webhdfs_url to the NameNode's http address")
        return WebHdfsFiles(WebHdfs(reach.webhdfs_url), uri, _root(uri, setting), replication=reach.replication)
    if parts.scheme in _HTTP_OF:
        client = WebHdfs(f"{_HTTP_OF[parts.scheme]}://{parts.netloc}")
        plain = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        return WebHdfsFiles(client, plain, _root(uri, setting), replication=reach.replication)
    return FsspecFiles(uri)


def local_folder(uri: str, setting: str) -> Path:
    """Return the folder that a path or a ``file://`` URI names.

    Raises:
        ConfigError: it is a URI of another kind.
    """
    if not _is_local(uri):
        raise ConfigError(f"{setting} = {uri!r}: only a folder of this machine, as a path or file:// URI, can be used")
    parts = urlsplit(uri)
    return Path(unquote(parts.path)) if parts.scheme == "file" else Path(uri)


def _is_local(uri: str) -> bool:
    parts = urlsplit(uri)
    return "://" not in uri or (parts.scheme == "file" and parts.netloc in {"", "localhost"})


def _below(uri: str, name: str) -> str:
    return str(local_folder(uri, "store.uri") / name) if _is_local(uri) else f"{uri.rstrip('/')}/{name}"


def _root(uri: str, setting: str) -> str:
    path = urlsplit(uri).path.rstrip("/")
    if not path or "//" in path or any(mark in uri for mark in "%?#* "):
        raise ConfigError(
            f"{setting} = {uri!r}: name a folder in HDFS by a plain path, such as hdfs://namenode:8020/oryx"
        )
    return path
