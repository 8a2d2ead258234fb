"""Bytes and numbers from topics and files, made fit for a terminal."""

from collections.abc import Mapping, Sequence

__all__ = ["offsets", "shortened", "visible"]


def visible(data: bytes | str, limit: int = 0) -> str:
    """Return text that cannot move the cursor: control characters and what is no UTF-8 become ``\\x1b``-like escapes.

    Longer than ``limit`` characters, it is cut and says how long it is; 0 = no limit.
    """
    text = data.decode(errors="backslashreplace") if isinstance(data, bytes) else data
    size = f"{len(data):,} {'bytes' if isinstance(data, bytes) else 'characters'}"
    cut = limit and len(text) > limit
    if cut:
        text = text[:limit]
    if not text.isprintable():
        text = "".join(
            character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
        )
    return f"{text}… ({size})" if cut else text


def shortened(vector: Sequence[float], shown: int = 4) -> str:
    """Return the first numbers of a vector and how many it has: ``[0.12 -0.3 … 32]``."""
    if len(vector) <= shown:
        return "[" + " ".join(f"{number:.3g}" for number in vector) + "]"
    return "[" + " ".join(f"{number:.3g}" for number in vector[:shown]) + f" … {len(vector)}]"


def offsets(by_partition: Mapping[int, int]) -> str:
    """Return ``0:123 1:45``, ascending."""
    return " ".join(f"{partition}:{offset}" for partition, offset in sorted(by_partition.items()))
