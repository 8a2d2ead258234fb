"""What this machine has."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["memory_bytes"]

_LIMITS: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Of a container: the second version of control groups, and the first."""


def memory_bytes(limits: tuple[Path, ...] = _LIMITS) -> int:
    """Return the bytes of memory that processes here may use: the machine's, or the container's limit."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in limits:
        with suppress(OSError, ValueError):  # not there, or "max"
            found = min(found, int(path.read_text()))
    return found
