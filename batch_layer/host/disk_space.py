"""Room on disks, asked for before the work that takes it: a full disk would end it when most is done."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from oryx_py.errors import NoRoom
from oryx_py.planning.quantities import show_bytes

__all__ = ["Wanted", "check_room"]


class Wanted(NamedTuple):
    """So many bytes in a directory, and in words what they are."""

    directory: Path
    bytes: int
    what: str


def check_room(wanted: Sequence[Wanted]) -> None:
    """Look whether directories have room for all of that; those on one disk share it.

    Raises:
        NoRoom: they have not; the message has the arithmetic.
    """
    disks: dict[int, list[Wanted]] = {}
    for each in wanted:
        disks.setdefault(os.stat(each.directory).st_dev, []).append(each)  # noqa: PTH116 - Path.stat says the same
    for together in disks.values():
        directory, needed = together[0].directory, sum(each.bytes for each in together)
        free = shutil.disk_usage(directory).free
        if needed > free:
            what = " and ".join(each.what for each in together)
            raise NoRoom(
                f"{what} take {show_bytes(needed)}, and {directory} has {show_bytes(free)} free: make room there, "
                "set batch.work_dir and store.uri to a larger disk, or lower model.features"
            )
