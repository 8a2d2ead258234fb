"""Paths below a root, and names of generations."""

import posixpath
import re
import secrets
from typing import Final

__all__ = ["GENERATION", "below", "checked_generation", "hidden_beside", "parent_of"]

GENERATION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""No separator, no colon (HDFS refuses it), never hidden."""


def below(path: str) -> str:
    """Return a relative path as it stands; "" is the root.

    Raises:
        ValueError: it is absolute, or leads out of the root.
    """
    parts = path.split("/") if path else []
    if any(part in {"", ".", ".."} or "\0" in part for part in parts):
        raise ValueError(f"{path!r} is no path below the root")
    return path


def hidden_beside(path: str) -> str:
    """Return a new name for a file that is being written: ``.<name>.<hex>.tmp`` in the same directory."""
    folder, name = posixpath.split(path)
    return posixpath.join(folder, f".{name}.{secrets.token_hex(8)}.tmp")


def parent_of(path: str) -> str:
    """Return the directory of a path, "" for the root."""
    return posixpath.dirname(path)


def checked_generation(name: str) -> str:
    """Return a generation's name as it stands.

    Raises:
        ValueError: it is none.
    """
    if not GENERATION.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a generation")
    return name
