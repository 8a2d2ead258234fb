"""Fetching jars through the Ivy that PySpark brings, from Ivy's own default repository."""

import importlib.util
import re
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies
from xml.sax.saxutils import quoteattr

from oryx_py.errors import MissingDependency
from oryx_py.local.java import Java

__all__ = ["Coordinates", "fetch", "find_ivy", "proxy_options", "render_module"]

_ATTEMPTS = 2  # the second continues from what the first brought
_ATTEMPT_S = 600.0
_CONNECT_MS, _READ_MS = 15_000, 30_000


@dataclass(frozen=True, slots=True)
class Coordinates:
    """A jar's name in a Maven repository."""

    organisation: str
    name: str
    version: str

    @property
    def file_name(self) -> str:
        """The file's name, as the retrieve pattern below writes it."""
        return f"{self.name}-{self.version}.jar"


def fetch(java: Java, jars: Sequence[Coordinates], folder: Path, on_progress: Callable[[int], None]) -> None:
    """Put every one of ``jars`` into ``folder``; ``on_progress`` gets the number downloaded so far.

    Raises:
        MissingDependency: PySpark is not installed, or the repository could not be reached.
    """
    ivy = find_ivy()
    with tempfile.TemporaryDirectory(prefix="oryx-ivy-") as work:
        settings, module = Path(work, "ivysettings.xml"), Path(work, "ivy.xml")
        settings.write_bytes(resources.files("oryx_py.local").joinpath("ivysettings.xml").read_bytes())
        module.write_text(render_module(jars), encoding="utf-8")
        command = [
            *(str(java.path), f"-Dsun.net.client.defaultConnectTimeout={_CONNECT_MS}"),
            *(f"-Dsun.net.client.defaultReadTimeout={_READ_MS}", *proxy_options(getproxies()), "-jar", str(ivy)),
            *("-settings", str(settings), "-cache", str(Path(work, "cache")), "-ivy", str(module)),
            *("-confs", "default", "-retrieve", f"{folder}/[artifact]-[revision].[ext]"),
        ]
        for _ in range(_ATTEMPTS):
            trouble = _run(command, on_progress)
            if trouble is None:
                return
    raise MissingDependency(f"they could not be fetched ({trouble}): check the network and try again")


def find_ivy() -> Path:
    """Return the Ivy jar inside the installed PySpark, without importing it."""
    spec = importlib.util.find_spec("pyspark")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if found := sorted(Path(place, "jars").glob("ivy-*.jar")):
            return found[-1]
    raise MissingDependency("they are fetched with PySpark's Ivy: run `pip install 'oryx-py[batch]'`")


def render_module(jars: Sequence[Coordinates]) -> str:
    """Return an Ivy module that depends on exactly ``jars``."""
    rows = "".join(
        f"    <dependency org={quoteattr(jar.organisation)} name={quoteattr(jar.name)} rev={quoteattr(jar.version)}"
        ' conf="default" transitive="false"/>\n'
        for jar in jars
    )
    return (
        '<ivy-module version="2.0">\n  <info organisation="oryx" module="broker"/>\n'
        '  <configurations><conf name="default"/></configurations>\n'
        f"  <dependencies>\n{rows}  </dependencies>\n</ivy-module>\n"
    )


def proxy_options(proxies: Mapping[str, str]) -> list[str]:
    """Return Java's options for the proxies that Python sees: Java itself does not read ``https_proxy``."""
    options = []
    for scheme in ("http", "https"):
        proxy = urlsplit(proxies.get(scheme, ""))
        if proxy.hostname:
            options += [f"-D{scheme}.proxyHost={proxy.hostname}", f"-D{scheme}.proxyPort={proxy.port or 80}"]
    return options


def _run(command: Sequence[str], on_progress: Callable[[int], None]) -> str | None:
    """Run Ivy and return what went wrong, in few words; None if nothing did."""
    done, trouble = 0, ""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as run:
        watchdog = threading.Timer(_ATTEMPT_S, run.kill)
        watchdog.start()
        try:
            assert run.stdout is not None
            for line in run.stdout:
                if "[SUCCESSFUL ]" in line:
                    done += 1
                    on_progress(done)
                elif not trouble and re.search(r"not found|FAILED|Exception|timed out|refused", line):
                    trouble = line.strip(" \t\n:")[:200]
        except BaseException:
            run.kill()
            raise
        finally:
            watchdog.cancel()
    return None if run.returncode == 0 else trouble or f"Ivy ended with exit code {run.returncode}"
