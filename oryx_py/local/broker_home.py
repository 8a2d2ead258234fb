"""The folder of one embedded broker: what stands where, and how it comes to be.

::

    <local.dir>/broker.json      the run file, while a broker is ready
    <local.dir>/broker/lock      held by the broker's process as long as it lives
                       ports.json  the ports of the last start
                       server.properties, log4j2.properties   written at every start
                       data/     Kafka's logs; it gets this name only when completely formatted
                       logs/     broker.log (Kafka's), jvm.log (Java's own output, of the last start)
                       tmp/      emptied at every start
"""

import base64
import shutil
import uuid
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template

import msgspec

from oryx_py.errors import BrokerUnavailable
from oryx_py.local import ports
from oryx_py.local.formatting import format_aside, is_formatted
from oryx_py.local.runfile import runfile_path

__all__ = ["BrokerHome", "Ports", "broker_folder"]

_TEMPLATES = resources.files("oryx_py.local")
_FORMATTING = "data.formatting"


def broker_folder(local_dir: Path) -> Path:
    """Return the embedded broker's folder within ``local.dir``."""
    return local_dir / "broker"


class Ports(msgspec.Struct, frozen=True):
    """The port that was asked for, and the two that were taken."""

    asked: int
    port: int
    controller_port: int


@dataclass(frozen=True, slots=True)
class BrokerHome:
    """One broker's folder; relative paths keep commas, colons and accents in its name out of Kafka's settings."""

    dir: Path
    host: str = ports.HOST
    """The name by which clients reach the broker; another than the loopback's makes it listen on every address."""

    @property
    def lock(self) -> Path:
        """Held by the broker's process."""
        return self.dir / "lock"

    @property
    def runfile(self) -> Path:
        """Where clients find the broker."""
        return runfile_path(self.dir.parent)

    @property
    def log(self) -> Path:
        """Kafka's own log."""
        return self.dir / "logs" / "broker.log"

    @property
    def output(self) -> Path:
        """What the Java machine itself says."""
        return self.dir / "logs" / "jvm.log"

    @property
    def tmp(self) -> Path:
        """Java's temporary folder."""
        return self.dir / "tmp"

    @property
    def _data(self) -> Path:
        return self.dir / "data"

    def prepare(self) -> None:
        """Make the folders and sweep what a killed broker left."""
        shutil.rmtree(self.tmp, ignore_errors=True)
        for folder in (self.dir, self.tmp, self.log.parent):
            folder.mkdir(parents=True, exist_ok=True)
        (self.dir / "log4j2.properties").write_bytes(_TEMPLATES.joinpath("log4j2.properties").read_bytes())

    @property
    def cluster_id(self) -> str:
        """The identity that the data folder was formatted with."""
        lines = (self._data / "meta.properties").read_text(encoding="utf-8").splitlines()
        return next(line.partition("=")[2].strip() for line in lines if line.startswith("cluster.id="))

    def choose_ports(self, asked: int) -> Ports:
        """Return the ports of the last start if the wish is the same and they are free, else the wish, else others."""
        try:
            last = msgspec.json.decode((self.dir / "ports.json").read_bytes(), type=Ports)
        except (FileNotFoundError, msgspec.MsgspecError):
            last = Ports(asked, 0, 0)
        port = ports.choose((last.port if last.asked == asked else 0, asked))
        return Ports(asked, port, ports.choose((last.controller_port,), taken={port}))

    def configure(self, chosen: Ports) -> None:
        """Write the broker's settings for these ports, and remember them."""
        self._write_properties(chosen, data="data")
        (self.dir / "ports.json").write_bytes(msgspec.json.encode(chosen))

    def format(self, java: list[str], timeout_s: float) -> None:
        """Format the data folder unless it is; ``java`` is the command up to the main class.

        Raises:
            UserError: there are data that Kafka did not format.
            BrokerUnavailable: the tool failed.
        """
        if is_formatted(self._data, "meta.properties", "Kafka data"):
            return
        self._write_properties(Ports(0, 1, 2), data=_FORMATTING)
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes)[:22].decode()
        tool = ["kafka.tools.StorageTool", "format", f"-t={cluster_id}", "-c", "server.properties", "--standalone"]
        fresh = self.dir / _FORMATTING
        format_aside([*java, *tool], self._data, fresh, timeout_s=timeout_s, failure=BrokerUnavailable)

    def _write_properties(self, chosen: Ports, data: str) -> None:
        template = Template(_TEMPLATES.joinpath("server.properties").read_text(encoding="utf-8"))
        text = template.substitute(
            host=self.host,
            listen=ports.HOST if self.host == ports.HOST else "0.0.0.0",  # noqa: S104 - asked for by a host's name
            port=chosen.port,
            controller_port=chosen.controller_port,
            data=data,
        )
        (self.dir / "server.properties").write_text(text, encoding="utf-8")
