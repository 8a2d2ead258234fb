"""How far a file has been sent, kept on this machine so that the same command goes on after an interruption.

It only saves time: that nothing counts twice is seen to by the names of the lines (`oryx_py.cli.sending`).
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from oryx_py.errors import UserError

__all__ = ["ProgressFile", "Sent", "cache_folder", "digest_of"]

_DIGITS = 32
"""Of a SHA-256, hexadecimal: 128 bits, which no two files share by chance."""


class Sent(msgspec.Struct, frozen=True):
    """How far it is.

    Attributes:
        up_to: number of the last line of which it is certain that it, and all before it, are stored or refused.
        stored: how many were stored.
        refused: how many were refused.
    """

    up_to: int = 0
    stored: int = 0
    refused: int = 0


class ProgressFile:
    """Keeps how far one file is, as it is read and sent by these options.

    Args:
        folder: for such files; made when it is needed.
        what: the file's digest, where it goes, and all else that decides what is sent.
    """

    def __init__(self, folder: Path, what: Sequence[object]) -> None:
        self.path = folder / f"{hashlib.sha256(repr(list(what)).encode()).hexdigest()[:_DIGITS]}.json"

    def read(self) -> Sent:
        """Return how far it is; nothing was sent where that is not known."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Sent)
        except (OSError, msgspec.MsgspecError):
            return Sent()

    def write(self, sent: Sent) -> None:
        """Keep how far it is now; whole or not at all, whenever the process is killed.

        Raises:
            UserError: the folder cannot be written to.
        """
        aside = self.path.with_suffix(f".{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            aside.write_bytes(msgspec.json.encode(sent))
            aside.replace(self.path)
        except OSError as error:
            raise UserError(
                f"{self.path} cannot be written ({error.strerror}), to go on there if interrupted"
            ) from error

    def remove(self) -> None:
        """Forget it."""
        self.path.unlink(missing_ok=True)


def cache_folder() -> Path:
    """Return where programs of this user keep what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "oryx"


def digest_of(file: Path) -> str:
    """Return what names the file's content.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()[:_DIGITS]
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from None
