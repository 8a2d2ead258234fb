"""Which broker to talk to: the one that was named, or the one that runs on this machine."""

from pathlib import Path

from oryx_py.config import Settings
from oryx_py.errors import BrokerUnavailable, UserError
from oryx_py.local import locks
from oryx_py.local.broker_home import BrokerHome, broker_folder
from oryx_py.local.runfile import RunFile, read_runfile

__all__ = ["LOCAL", "resolve_bootstrap", "running_broker"]

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
