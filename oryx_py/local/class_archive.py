"""Java's archive of parsed classes, which more than halves the broker's start (application class-data sharing)."""

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import xxhash

from oryx_py.local.java import Java

__all__ = ["ClassArchive"]


@dataclass(frozen=True, slots=True)
class ClassArchive:
    """One archive in the cache, for one Java and one folder of jars.

    The first broker that ends regularly writes it. Java checks that it fits and otherwise starts without, so a missing,
    stale or unwritable archive costs time and nothing else.
    """

    path: Path

    @classmethod
    def of(cls, java: Java, folder: Path) -> "ClassArchive":
        """Return the archive, existing or not, of this very ``java`` for the jars in ``folder``."""
        which = xxhash.xxh32_hexdigest(os.fsencode(java.path.resolve()))
        return cls(folder / f"classes-{java.version}-{which}.jsa")

    @property
    def read_options(self) -> list[str]:
        """Java's options that use the archive; none if there is none."""
        return [f"-XX:SharedArchiveFile={self.path}"] if self.path.is_file() else []

    def write_options(self, tmp: Path) -> list[str]:
        """Java's options that write an archive into ``tmp`` at exit; none if there is one, or no right to keep it."""
        if self.path.is_file() or not os.access(self.path.parent, os.W_OK):
            return []
        return [f"-XX:ArchiveClassesAtExit={tmp / self.path.name}"]

    def adopt(self, tmp: Path) -> None:
        """Move what Java wrote into ``tmp``, if it did, to the archive's place."""
        fresh, partial = tmp / self.path.name, self.path.with_suffix(f".{os.getpid()}.partial")
        with suppress(OSError):
            shutil.copyfile(fresh, partial)
            fresh.unlink()
            partial.replace(self.path)
