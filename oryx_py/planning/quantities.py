"""Counts, bytes and times as people write and read them."""

import math
import re
from typing import Final

from oryx_py.errors import UserError

__all__ = ["bytes_of", "count_of", "show_bytes", "show_count", "show_seconds"]

_COUNTS: Final = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9, "T": 10**12}
_BYTES: Final = {"": 1, "B": 1} | {
    letter + rest: 1024**power
    for power, letter in enumerate("KMGTP", start=1)
    for rest in ("", "B", "IB")
}  # fmt: skip
_NUMBER: Final = re.compile(r"\s*(\d[\d_,']*(?:\.\d+)?(?:[eE]\+?\d+)?)\s*([a-zA-Z]*)\s*")


def count_of(text: str, what: str = "count") -> int:
    """Return a count like ``10M``, ``1.5B``, ``2_000``, ``2,000`` or ``1e6``; K, M, B (or G) and T are powers of 1000.

    Raises:
        UserError: it is none, or below 1.
    """
    return _read(text, what, _COUNTS, "a count like 2000, 2_000, 1.5M or 1B")


def bytes_of(text: str, what: str = "size") -> int:
    """Return a number of bytes like ``24G``, ``512 MiB`` or ``1.5TB``; the letters are powers of 1024.

    Raises:
        UserError: it is none, or below 1.
    """
    return _read(text, what, _BYTES, "a size like 512M, 24G or 1.5T")


def _read(text: str, what: str, units: dict[str, int], wanted: str) -> int:
    found = _NUMBER.fullmatch(text)
    if not found or found[2].upper() not in units:
        raise UserError(f"{what} is {text!r}: give {wanted}")
    number = float(re.sub(r"[_,']", "", found[1])) * units[found[2].upper()]
    if not 1 <= number < 2**63:
        raise UserError(f"{what} is {text!r}: give {wanted}, at least 1 and below 2^63")
    return round(number)


def show_bytes(size: float) -> str:
    """Return ``1.5 GiB`` for a number of bytes."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(size) < 1000 or unit == "TiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" or abs(size) >= 100 else f"{size:.1f} {unit}"


def show_count(count: float) -> str:
    """Return ``1.5M`` for a count, as `count_of` takes it."""
    for letter, size in (("T", 10**12), ("B", 10**9), ("M", 10**6), ("K", 10**4)):
        if count >= size:
            size = 10**3 if letter == "K" else size
            return f"{count / size:.4g}{letter}"
    return f"{count:.0f}"


def show_seconds(seconds: float) -> str:
    """Return ``2 h 5 min``, ``3 min 20 s``, ``4.2 s`` or ``< 0.1 s``."""
    if seconds < 0.1:
        return "< 0.1 s"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = math.ceil(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
