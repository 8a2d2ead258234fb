"""Which broker and which HDFS to talk to: those that were named, or those that run on this machine."""

from pathlib import Path

import msgspec

from oryx_py.config import Settings
from oryx_py.errors import BrokerUnavailable, StoreUnavailable, UserError
from oryx_py.local import locks
from oryx_py.local.broker_home import BrokerHome, broker_folder
from oryx_py.local.hdfs_home import NAMENODE, HdfsHome, HdfsRunFile, read_hdfs
from oryx_py.local.runfile import RunFile, read_runfile

__all__ = ["LOCAL", "located", "resolve_bootstrap", "running_broker", "running_hdfs"]

_LOCAL_HDFS = "hdfs://local/"
LOCAL = "local"
"""The value of ``kafka.bootstrap_servers`` that means the embedded broker of ``local.dir``."""


def resolve_bootstrap(settings: Settings) -> str:
    """Return Kafka's ``host:port`` list.

    Raises:
        UserError: the embedded broker is meant, and none runs.
        BrokerUnavailable: it is just starting; ask again.
    """
    if settings.kafka.bootstrap_servers != LOCAL:
        return settings.kafka.bootstrap_servers
    home = BrokerHome(broker_folder(settings.local_dir))
    if running := running_broker(settings.local_dir):
        return running.bootstrap_servers
    if locks.is_held(home.lock):
        raise BrokerUnavailable(f"the broker of {settings.local_dir} is starting; its log is {home.log}")
    raise UserError(
        f"no broker runs for {settings.local_dir}: start one with `oryx broker` or `oryx up`, "
        "or set kafka.bootstrap_servers to a cluster of yours"
    )


def running_broker(local_dir: Path) -> RunFile | None:
    """Return the embedded broker that is ready now, None if there is none.

    A run file alone proves nothing: its writer may have been killed, and its process number be another's by now. The
    folder's lock is held by the broker's own process and ends with it.
    """
    home = BrokerHome(broker_folder(local_dir))
    running = read_runfile(home.runfile)
    return running if running is not None and locks.is_held(home.lock) else None


def located(settings: Settings) -> Settings:
    """Return settings whose places name the HDFS that runs on this machine by its addresses, where they mean it.

    Raises:
        UserError: it is meant, and does not run.
        StoreUnavailable: it is just starting; ask again.
    """
    places = (settings.store_uri, settings.registry_uri, settings.history_uri)
    if not any(place.startswith(_LOCAL_HDFS) for place in places):
        return settings
    running = running_hdfs(settings.local_dir)
    if running is None:
        if locks.is_held(HdfsHome(settings.local_dir, NAMENODE).lock):
            raise StoreUnavailable(f"the HDFS of {settings.local_dir} is starting")
        raise UserError(
            f"no HDFS runs for {settings.local_dir}: start one with `oryx hdfs` or `oryx up --hdfs`, "
            "or set local.hdfs to false"
        )
    store, registry, history = (
        place.replace(_LOCAL_HDFS, f"hdfs://{running.namenode}/") if place.startswith(_LOCAL_HDFS) else place
        for place in places
    )
    replace = msgspec.structs.replace
    return replace(
        settings,
        store=replace(settings.store, uri=store, registry_uri=registry),
        history=replace(settings.history, uri=history),
        hdfs=replace(settings.hdfs, webhdfs_url=running.webhdfs_url, replication=1),
    )


def running_hdfs(local_dir: Path) -> HdfsRunFile | None:
    """Return the HDFS that is ready now in ``local_dir``, None if there is none; as with `running_broker`."""
    running = read_hdfs(local_dir)
    return running if running is not None and locks.is_held(HdfsHome(local_dir, NAMENODE).lock) else None
