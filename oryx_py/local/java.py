"""Finding a Java that can run Kafka and Spark."""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from oryx_py.errors import MissingDependency

__all__ = ["MINIMUM_MAJOR", "Java", "candidates", "find_java", "install_hint", "major_of", "parse_version", "probe"]

MINIMUM_MAJOR = 17
"""The oldest Java that Kafka's broker and Spark run on."""

_FOLDERS = ("/usr/lib/jvm", "/usr/java", "/opt/java", "/opt/homebrew/opt", "/usr/local/opt")
_MAC_JAVA_HOME = "/usr/libexec/java_home"
_INSTALL = (
    ("apt-get", "sudo apt-get install openjdk-17-jre-headless"),
    ("dnf", "sudo dnf install java-21-openjdk-headless"),
    ("yum", "sudo yum install java-17-openjdk-headless"),
    ("zypper", "sudo zypper install java-17-openjdk-headless"),
    ("apk", "sudo apk add openjdk17-jre-headless"),
    ("pacman", "sudo pacman -S jre17-openjdk-headless"),
    ("brew", "brew install openjdk@17"),
)


@dataclass(frozen=True, slots=True)
class Java:
    """A ``java`` program; ``version`` is what it calls itself, such as ``17.0.15``."""

    path: Path
    major: int
    version: str

    @property
    def home(self) -> Path:
        """The folder that ``JAVA_HOME`` names."""
        return self.path.resolve().parent.parent


def find_java(environ: Mapping[str, str] | None = None) -> Java:
    """Return the first Java that is new enough: ``JAVA_HOME``, then ``PATH``, then the usual folders.

    Raises:
        MissingDependency: there is none; the message has the command that installs one here.
    """
    environ = os.environ if environ is None else environ
    too_old: Java | None = None
    tried: set[Path] = set()
    for path in candidates(environ):
        real = path.resolve()
        if real in tried:
            continue
        tried.add(real)
        java = probe(path)
        if java is not None and java.major >= MINIMUM_MAJOR:
            return java
        too_old = too_old or java
    found = f"found only Java {too_old.version} ({too_old.path})" if too_old else "found none"
    raise MissingDependency(f"Java {MINIMUM_MAJOR} or newer is needed, {found}: {install_hint(environ)}")


def candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield ``java`` programs that may exist, the most deliberate choice first, the newest of a folder first."""
    if home := environ.get("JAVA_HOME"):
        yield Path(home, "bin", "java")
    if on_path := shutil.which("java", path=environ.get("PATH", "")):
        yield Path(on_path)
    if home := _mac_java_home():
        yield Path(home, "bin", "java")
    for folder in map(Path, _FOLDERS):
        if folder.is_dir():
            yield from sorted((*folder.glob("*/bin/java"), *folder.glob("*/Contents/Home/bin/java")), reverse=True)


def probe(path: Path) -> Java | None:
    """Ask ``path`` for its version; None if it is not a working Java."""
    try:
        answer = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    version = parse_version(answer.stderr + answer.stdout)
    return Java(path, major_of(version), version) if version else None


def parse_version(text: str) -> str | None:
    """Return the quoted version in what ``java -version`` prints, None if there is none."""
    found = re.search(r'version "([0-9][^"]*)"', text)
    return found[1] if found else None


def major_of(version: str) -> int:
    """Return 17 for ``17.0.15``, and 8 for the old style ``1.8.0_402``."""
    numbers = re.split(r"\D+", version)
    return int(numbers[1] if numbers[0] == "1" and len(numbers) > 1 else numbers[0])


def install_hint(environ: Mapping[str, str]) -> str:
    """Return what to type on this system to get a Java, chosen by its package manager."""
    for program, command in _INSTALL:
        if shutil.which(program, path=environ.get("PATH", "")):
            return f"run `{command}`"
    return "install a JDK 17 and set JAVA_HOME to its folder"


def _mac_java_home() -> str | None:
    if platform.system() != "Darwin":
        return None
    try:
        answer = subprocess.run(
            [_MAC_JAVA_HOME, "-v", f"{MINIMUM_MAJOR}+"], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None
