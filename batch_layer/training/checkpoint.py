"""Where a training stands, so that a task that is run again goes on from there."""

from pathlib import Path

import msgspec
import numpy as np

from oryx_py.model.files import map_array
from oryx_py.numerics.als import Course, Epoch, State
from oryx_py.numerics.arrays import FloatMatrix

__all__ = ["read_checkpoint", "write_checkpoint", "write_whole"]

_NAME = "checkpoint.json"


class _Checkpoint(msgspec.Struct, frozen=True):
    """Names of files that begin with ``now`` and ``best``; a checkpoint is whole when this is there."""

    now: str
    best: str
    epochs: tuple[Epoch, ...]


def write_checkpoint(work: Path, course: Course[FloatMatrix]) -> None:
    """Replace the checkpoint in a directory.

    1. write the new states beside the old; 2. name them; 3. remove what is not named. Killed in 1 or 2, the old one
    counts; in 3, files are left over.
    """
    number = course.epochs[-1].number
    now, best = f"checkpoint-{number}-now", f"checkpoint-{number}-best"
    _write_state(work / now, course.now)
    if course.best is course.now:
        best = now
    else:
        _write_state(work / best, course.best)
    write_whole(work / _NAME, msgspec.json.encode(_Checkpoint(now, best, course.epochs)))
    for path in work.glob("checkpoint-*.npy"):
        if not path.name.startswith((f"{now}-", f"{best}-")):
            path.unlink(missing_ok=True)


def read_checkpoint(work: Path) -> Course[FloatMatrix] | None:
    """Read the checkpoint of a directory; None where there is none."""
    path = work / _NAME
    if not path.exists():
        return None
    found = msgspec.json.decode(path.read_bytes(), type=_Checkpoint)
    now = _read_state(work / found.now)
    return Course(now, now if found.best == found.now else _read_state(work / found.best), found.epochs)


def write_whole(path: Path, content: bytes) -> None:
    """Write a small file such that readers see all of it, or the one before."""
    beside = path.with_name(f"{path.name}.new")
    beside.write_bytes(content)
    beside.replace(path)


def _write_state(path: Path, state: State[FloatMatrix]) -> None:
    for part, array in state._asdict().items():
        np.save(path.with_name(f"{path.name}-{part}.npy"), array)


def _read_state(path: Path) -> State[FloatMatrix]:
    users, items = (map_array(path.with_name(f"{path.name}-{side}.npy"), np.float32, (None, None)) for side in _SIDES)
    return State(users, items, map_array(path.with_name(f"{path.name}-gram.npy"), np.float64, (None, None)))


_SIDES = ("users", "items")
