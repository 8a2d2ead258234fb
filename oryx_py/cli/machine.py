"""Everything on one machine: which programs that is, and when each is ready. For ``up`` and for ``demo``."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from oryx_py.adapters.kafka import KafkaAdmin
from oryx_py.adapters.kafka.setup_topics import ensure_topics
from oryx_py.cli.asking import at, url_of
from oryx_py.cli.topics import specs_of
from oryx_py.client import Client, NoAnswer, Refusal, Retries, Unreachable
from oryx_py.config import Settings
from oryx_py.errors import UserError
from oryx_py.local import locks, ports
from oryx_py.local.child import Child
from oryx_py.local.endpoint import resolve_bootstrap, running_hdfs
from oryx_py.local.hdfs import is_writable
from oryx_py.local.hdfs_home import DATANODE, NAMENODE, HdfsHome
from oryx_py.local.runfile import read_runfile, runfile_path

__all__ = ["LAYERS", "addresses", "check_free", "children", "command", "has_own_broker", "set_up_topics"]

LAYERS = ("batch", "speed", "serve")
"""In the order of starting; they are stopped in the reverse order, so that what comes in last is still taken."""

_BROKER_READY_S = 90.0
_HDFS_READY_S = 120.0
_SERVICE_READY_S = 60.0


def has_own_broker(settings: Settings) -> bool:
    """Say whether these settings use the embedded broker."""
    return settings.kafka.bootstrap_servers == "local"


def check_free(settings: Settings) -> None:
    """Look before anything is started.

    Raises:
        UserError: a broker or an HDFS runs in this folder, or the service's port is taken.
    """
    if settings.local.hdfs and locks.is_held(HdfsHome(settings.local_dir, NAMENODE).lock):
        raise UserError(
            f"an HDFS already runs in {settings.local_dir}: stop that `oryx up` or `oryx hdfs`, "
            "or choose another folder with local.dir"
        )
    if has_own_broker(settings) and locks.is_held(settings.local_dir / "broker" / "lock"):
        raise UserError(
            f"a broker already runs in {settings.local_dir}: stop that `oryx up` or `oryx broker`, "
            "or choose another folder with local.dir"
        )
    port = settings.serving.port
    if port and not ports.is_free(port):
        raise UserError(f"port {port} is taken: choose another, as in `ORYX__SERVING__PORT={port + 1} oryx up`")


def set_up_topics(settings: Settings) -> None:
    """Create the topics that are missing.

    Raises:
        TopicsChanged: one is not as it should be.
        BrokerUnavailable: Kafka does not answer.
    """
    admin = KafkaAdmin(resolve_bootstrap(settings), settings.kafka.client)
    ensure_topics(admin, specs_of(settings), create=True)


def addresses(settings: Settings, layers: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return where these layers answer, by name, and what they need in their environment to do so there.

    A layer that has no port for ``/ready`` and ``/metrics`` by its settings gets a free one of the loopback.
    """
    found = {"serve": url_of(settings).removeprefix("http://")}
    environ: dict[str, str] = {}
    taken = {settings.serving.port}
    for layer in ("batch", "speed"):
        group = settings.batch if layer == "batch" else settings.speed
        host, port = group.metrics_host, group.metrics_port
        if not port:
            host, port = ports.HOST, ports.choose((), taken)
            environ |= {
                f"ORYX__{layer.upper()}__METRICS_HOST": host,
                f"ORYX__{layer.upper()}__METRICS_PORT": str(port),
            }
        taken.add(port)
        found[layer] = at(host, port)
    return {layer: found[layer] for layer in layers}, environ


def children(
    settings: Settings,
    layers: Sequence[str],
    config: Path | None,
    environ: Mapping[str, str],
) -> list[Child]:
    """Return the programs: the broker and HDFS where the settings have them run here, then these layers.

    The broker counts as ready when it answers and has the topics, HDFS when it takes files, so that no layer has to
    wait for them.

    Args:
        settings: that ``config`` and the environment give.
        layers: of `LAYERS`.
        config: the settings file, None where there is none.
        environ: added to every child's environment.
    """
    programs = [
        Child(
            name=layer,
            command=command(config, layer),
            environ=environ,
            ready=(lambda: _answers(settings)) if layer == "serve" else None,
            ready_timeout_s=_SERVICE_READY_S,
        )
        for layer in layers
    ]
    if settings.local.hdfs:
        programs[:0] = [
            Child(
                name=role,
                command=command(config, "hdfs", role),
                environ=environ,
                ready=ready,
                ready_timeout_s=_HDFS_READY_S,
            )
            for role, ready in (
                (NAMENODE, lambda: running_hdfs(settings.local_dir) is not None),
                (DATANODE, lambda: _takes_files(settings)),
            )
        ]
    if has_own_broker(settings):
        kafka = Child(
            name="broker",
            command=command(config, "broker"),
            environ=environ,
            ready=lambda: _broker_ready(settings),
            ready_timeout_s=_BROKER_READY_S,
        )
        programs.insert(0, kafka)
    return programs


def command(config: Path | None, *arguments: str) -> list[str]:
    """Return the command line of one of our own commands, in this very installation."""
    options = [] if config is None else ["--config", str(config)]
    return [sys.executable, "-m", "oryx_py.cli", *options, *arguments]


def _broker_ready(settings: Settings) -> bool:
    running = read_runfile(runfile_path(settings.local_dir))
    if running is None or not _alive(running.pid):
        return False
    set_up_topics(settings)
    return True


def _takes_files(settings: Settings) -> bool:
    running = running_hdfs(settings.local_dir)
    return running is not None and is_writable(running.webhdfs_url)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _answers(settings: Settings) -> bool:
    with Client(url_of(settings), timeout_s=2.0, retries=Retries(attempts=1)) as service:
        try:
            service.ready()
        except (Unreachable, NoAnswer):
            return False
        except Refusal:
            return True
    return True
