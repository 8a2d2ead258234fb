"""The end of a log that a process writes."""

from pathlib import Path

__all__ = ["tail"]

_TAIL_BYTES = 32_768


def tail(path: Path, start: int, lines: int) -> list[str]:
    """Return the last ``lines`` lines that were written to ``path`` after its first ``start`` bytes."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(start if start <= size else 0, size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    return text.rstrip().splitlines()[-lines:]
