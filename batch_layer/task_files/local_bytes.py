"""Bytes of arrays into files of this machine, and out of them, some at a time."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["BLOCK_BYTES", "blocks_of", "write_arrays"]

BLOCK_BYTES = 1 << 20


def write_arrays(path: Path, parts: Iterable[NDArray[np.generic]]) -> int:
    """Write contiguous arrays one after the other; returns the bytes."""
    written = 0
    with path.open("wb", buffering=0) as file:
        for part in parts:
            left = part.reshape(-1).view(np.uint8).data
            written += len(left)
            while left:  # a raw file may take less than it is given
                left = left[file.write(left) :]
    return written


def blocks_of(path: Path) -> Iterable[NDArray[np.uint8]]:
    """Yield a file's bytes."""
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield np.frombuffer(block, np.uint8)
