"""A training from beginning to end, whoever does the sweeps.

1. hold out users, where the settings ask for a validation; not in a warm start, whose vectors have seen everybody:
   the first sweep would be the best by what it knows of them, whatever the others learn;
2. begin, at random or with the last generation's factors;
3. sweep until the plan is over, and go back to the best epoch;
4. one more sweep with everybody, so that what is published has seen everything.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from batch_layer.training.held_out import Validation, validation_of
from batch_layer.training.job import Job
from batch_layer.training.warm_start import begin, starts_warm
from oryx_py.numerics.als import Course, Epoch, Plan, SideName, State, Workers, best_of, sweep, train
from oryx_py.numerics.arrays import BoolVector, FloatMatrix

__all__ = ["Outcome", "train_items"]

F = TypeVar("F")


Items = TypeVar("Items")


@dataclass(frozen=True, slots=True, eq=False)
class Outcome(Generic[Items]):
    """The items' factors, and how it went: ``told`` is what the manifest says of the validation, None without one."""

    items: Items
    epochs: tuple[Epoch, ...]
    best: Epoch
    warm: bool
    told: dict[str, Any] | None


def train_items(
    job: Job,
    open_workers: Callable[[BoolVector | None], AbstractContextManager[Workers[F]]],
    *,
    threads: int,
    resumed: Course[F] | None = None,
    make: Callable[[SideName], FloatMatrix] | None = None,
    after_epoch: Callable[[Course[F], Validation | None], None],
) -> Outcome[FloatMatrix]:
    """Train, and return the items' factors, float32[items, k], perhaps mapped.

    Args:
        job: on what.
        open_workers: makes workers for a training that leaves these users out, bool[users]; None: nobody.
        threads: of this process, for the beginning and the validation.
        resumed: where it stood when it was ended before.
        make: where factors to begin with are put together; see `begin`.
        after_epoch: is told after each epoch, and ends the training by raising.
    """
    recipe = job.recipe
    warm = starts_warm(job)
    validation = None if warm else validation_of(job)
    plan = Plan(recipe.warm_iterations if warm else recipe.iterations, recipe.patience if validation else 0)
    with open_workers(validation.out if validation else None) as workers:
        if resumed is None:
            beginning = begin(job, threads=threads, make=make)
            users, items = workers.put("users", beginning.users), workers.put("items", beginning.items)
            del beginning
            state = State(users, items, workers.gram("items", items))
            resumed = Course(state, state)
        course = train(
            workers,
            resumed,
            recipe.objective,
            plan,
            score=validation.score(threads) if validation else None,
            after_epoch=lambda course: after_epoch(course, validation),
        )
        if validation is None:
            return Outcome(workers.read(course.best.items), course.epochs, course.epochs[-1], warm, None)
    with open_workers(None) as workers:
        state, _ = sweep(workers, course.best, recipe.objective)
        found = workers.read(state.items)
    best = best_of(course.epochs, plan)
    return Outcome(found, course.epochs, best, warm, validation.told(best))
