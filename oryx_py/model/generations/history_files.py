"""The files of a generation's histories, also before it is one."""

from pathlib import Path
from typing import Literal

import numpy as np

from oryx_py.model.files import map_array
from oryx_py.model.generations.csr import Csr

__all__ = ["history_files", "map_histories"]


def history_files(side: str) -> list[str]:
    """Return the names of the histories of "users" or "items": indptr, indices, strengths (`Csr`)."""
    return [f"{side}.history.{part}.npy" for part in ("indptr", "indices", "strengths")]


def map_histories(directory: Path, side: Literal["users", "items"]) -> Csr:
    """Map a side's histories.

    Raises:
        CorruptGeneration: a file is missing, or of another dtype.
    """
    indptr, indices, strengths = (directory / file for file in history_files(side))
    return Csr(
        map_array(indptr, np.int64, (None,)),
        map_array(indices, np.int32, (None,)),
        map_array(strengths, np.float64, (None,)),
    )
