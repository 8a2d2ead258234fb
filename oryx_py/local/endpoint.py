"""Which broker the settings mean."""

from oryx_py.config import Settings
from oryx_py.errors import UserError
from oryx_py.local.runfile import read_runfile, runfile_path

__all__ = ["resolve_bootstrap"]


def resolve_bootstrap(settings: Settings) -> str:
    """Return ``host:port,…`` of the brokers; ``local`` is looked up in the run file of this machine's broker.

    Raises:
        UserError: it is ``local``, and no broker runs on this machine.
    """
    if settings.kafka.bootstrap_servers != "local":
        return settings.kafka.bootstrap_servers
    running = read_runfile(runfile_path(settings.local_dir))
    if running is None:
        raise UserError(
            f"no broker runs in {settings.local_dir}: start one with `oryx up` or `oryx broker`, "
            "or set kafka.bootstrap_servers"
        )
    return running.bootstrap_servers
