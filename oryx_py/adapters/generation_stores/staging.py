"""Where a generation's files are written before it is one."""

import shutil
from pathlib import Path

from oryx_py.adapters.file_systems.paths import checked_generation
from oryx_py.model.files import make_directories, storage

__all__ = ["staged"]


def staged(folder: Path, generation: str) -> Path:
    """Return an empty directory in a folder to write the generation's files into; an earlier attempt's is dropped.

    Raises:
        StoreUnavailable: the disk does not take it.
    """
    directory = folder / checked_generation(generation)
    with storage(directory):
        if directory.exists():
            shutil.rmtree(directory)
        make_directories(directory)
    return directory
