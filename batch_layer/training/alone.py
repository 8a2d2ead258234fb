"""The whole training in one task: factors in its memory, threads on all cores, and files that tell how far it is.

The task is told to end by a file, since the driver can't reach it otherwise; it looks after each sweep.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from threadpoolctl import threadpool_limits

from batch_layer.engine import Cancelled
from batch_layer.host.cores import cores
from batch_layer.training.checkpoint import read_checkpoint, write_checkpoint, write_whole
from batch_layer.training.held_out import Validation
from batch_layer.training.item_training import Outcome, train_items
from batch_layer.training.job import Job
from oryx_py.model.files import create_array, write_span
from oryx_py.model.generations.history_files import map_histories
from oryx_py.numerics.als import Course, Epoch, Observed, Threads
from oryx_py.numerics.arrays import BoolVector, FloatMatrix

__all__ = ["Alone", "Told", "ask_to_end", "progress_of", "train_alone"]

_EVERY_S = 60.0
"""Between checkpoints: what is lost at most, against the second that writing a gigabyte takes."""

_ROWS = 1 << 16


class Told(msgspec.Struct, frozen=True):
    """What the task tells after each epoch; ``score`` as the metric has it."""

    epoch: Epoch
    metric: str | None
    value: float | None


@dataclass(frozen=True, slots=True)
class Alone:
    """How a training alone is done: ``threads`` (0: all cores), and how often it is written down."""

    job: Job
    threads: int = 0
    every_s: float = _EVERY_S


def train_alone(alone: Alone, path: Path) -> "Outcome[None]":
    """The task: train, write the items' factors to ``path``, and return how it went.

    Raises:
        Cancelled: see `ask_to_end`.
    """
    job, threads = alone.job, alone.threads or cores()
    written = time.monotonic()

    def after_epoch(course: Course[FloatMatrix], validation: Validation | None) -> None:
        nonlocal written
        epoch = course.epochs[-1]
        metric = validation.metric if validation else None
        told = Told(epoch, metric, validation.value(epoch) if validation else None)
        write_whole(_progress_path(job.work), msgspec.json.encode(told))
        if _end_path(job.work).exists():
            raise Cancelled
        if time.monotonic() - written >= alone.every_s:
            write_checkpoint(job.work, course)
            written = time.monotonic()

    # BLAS adds in an order that depends on its threads; the blocks have all cores.
    with threadpool_limits(limits=1, user_api="blas"):
        outcome = train_items(
            job,
            lambda out: _threads(job, out, threads),
            threads=threads,
            resumed=read_checkpoint(job.work),
            after_epoch=after_epoch,
        )
    path.unlink(missing_ok=True)
    create_array(path, np.float32, outcome.items.shape)
    for first in range(0, job.items, _ROWS):
        write_span(path, first, outcome.items[first : first + _ROWS])
    return Outcome(None, outcome.epochs, outcome.best, outcome.warm, outcome.told)


def progress_of(work: Path) -> Told | None:
    """Read what the task told last; None before its first epoch."""
    try:
        return msgspec.json.decode(_progress_path(work).read_bytes(), type=Told)
    except FileNotFoundError:
        return None


def ask_to_end(work: Path) -> None:
    """Have the task end after its present sweep."""
    _end_path(work).touch()


def _threads(job: Job, out: BoolVector | None, threads: int) -> Threads:
    users, items = map_histories(job.into, "users"), map_histories(job.into, "items")
    objective = job.recipe.objective
    return Threads(
        Observed.of(users.indptr, users.indices, users.strengths, job.items, objective, rows_out=out, threads=threads),
        Observed.of(
            items.indptr, items.indices, items.strengths, job.users, objective, others_out=out, threads=threads
        ),
        job.recipe.features,
        threads=threads,
    )


def _progress_path(work: Path) -> Path:
    return work / "training.json"


def _end_path(work: Path) -> Path:
    return work / "training.end"
