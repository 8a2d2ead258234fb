"""Room on a disk, asked for before the work that takes it: a full disk would end it when most is done."""

import shutil
from pathlib import Path

from oryx_py.errors import UserError
from oryx_py.planning.quantities import show_bytes

__all__ = ["check_room"]


def check_room(directory: Path, needed: int, what: str) -> None:
    """Look whether a directory has room for so many bytes; ``what`` says in words what they are.

    Raises:
        UserError: it has not; the message has the arithmetic.
    """
    free = shutil.disk_usage(directory).free
    if needed > free:
        raise UserError(
            f"{what} take {show_bytes(needed)}, and {directory} has {show_bytes(free)} free: make room there, "
            "set batch.work_dir and store.uri to a larger disk, or lower model.features"
        )
