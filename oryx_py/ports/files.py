"""Files: what history, registry and generations need of a file system.

What every implementation promises, and ``oryx_py.testing.contracts.files_contract`` checks:

* paths are relative to the root that the implementation was given, with ``/``, never leading out of it;
* a file that can be read is whole: it is written under a hidden name and renamed when all bytes are there, or the
  system shows no file before (object stores);
* what a writer that died leaves behind has a hidden name ``.<name>.<hex>.tmp`` beside the file's, and can be deleted;
* a file is never appended to: HDFS keeps a dead writer's file locked for a minute;
* what was returned from is durable, as far as the system says so itself;
* where `exclusive`, of many processes that `create` or `move` to one path, one succeeds.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

__all__ = ["Entry", "Files"]


class Entry(msgspec.Struct, frozen=True):
    """One name in a directory; ``bytes`` is 0 for a directory."""

    name: str
    is_dir: bool
    bytes: int


class Files(Protocol):
    """A tree of files below one root; threads may share it; calls block on the disk or the network.

    Raises, from every method:
        StoreUnavailable: the system does not answer, or refuses; retrying may help.
        ValueError: a path is absolute or leads out of the root.
    """

    @property
    def exclusive(self) -> bool:
        """Whether `create` and `move` exist here; without them, only generations can be kept."""

    def uri(self, path: str = "") -> str:
        """The absolute URI of a path, as Spark takes it; be it there or not."""

    def list(self, path: str = "") -> Sequence[Entry]:
        """What is directly in a directory, hidden names among it, by name; nothing where there is no directory."""

    def names(self, path: str = "") -> Sequence[str]:
        """The names in a directory, in any order, as cheaply as can be; none where there is no directory."""

    def size(self, path: str) -> int | None:
        """Bytes of a file; None where there is none."""

    def read(self, path: str, start: int = 0, length: int | None = None) -> bytes | None:
        """At most ``length`` bytes of a file from ``start``: all of these, or an error; None where there is no file."""

    def create(self, path: str, content: bytes) -> bool:
        """Make a file with this content unless one of this name exists; says whether the file there has this content.

        Directories above are made. An answer that got lost is recognised by the content, so put a writer's token into
        it where two writers might write the same.

        Raises:
            ConfigError: not here.
        """

    def upload(self, source: Path, path: str) -> None:
        """Copy a local file to a path, in blocks, replacing what is there; directories above are made."""

    def download(self, path: str, into: Path, on_block: Callable[[bytes], object] = lambda _: None) -> bool:
        """Copy a file into a new local one, fsynced, telling each block: all of it, or an error.

        Says whether there is such a file.
        """

    def move(self, path: str, to: str) -> bool:
        """Rename a file or directory of a name that only the caller knows, unless ``to`` exists; says whether it did.

        Never into a directory of the name ``to``, as HDFS does if it is asked carelessly. Where an answer got lost,
        ``to`` being there and the old name not says that it was done; neither being there is a StoreUnavailable.

        Raises:
            ConfigError: not here.
        """

    def delete(self, path: str) -> None:
        """Remove a file, or a directory with all in it; nothing happens where there is none."""

    def settle(self, path: str) -> None:
        """Make durable what another program wrote: a file, or the names in a directory."""
