"""Paths below a root."""

import posixpath
import secrets

__all__ = ["below", "hidden_beside", "parent_of"]


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
