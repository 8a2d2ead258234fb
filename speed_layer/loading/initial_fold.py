"""The fold that an epoch begins with, by the rule of `speed.fold_in`."""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from oryx_py.model.state.model_state import ModelState
from oryx_py.numerics.fold_in.oryx_rule import check_rule
from oryx_py.ports import Record
from speed_layer.folding.exact_fold import ExactFold, NewSolver
from speed_layer.folding.fold import Fold
from speed_layer.oryx_rule.fold import OryxFold
from speed_layer.oryx_rule.restoring import restore
from speed_layer.sharing.share import Share
from speed_layer.solving.user_solver import UserSolver

__all__ = ["open_fold"]


def open_fold(
    rule: Literal["exact", "oryx"],
    state: ModelState,
    partitions: int,
    announced: Mapping[int, int],
    sent: Callable[[], Iterable[Record]],
    new_solver: NewSolver = UserSolver,
    share: Share | None = None,
) -> Fold:
    """Return a rule's fold as a start needs it.

    Args:
        rule: `speed.fold_in`.
        state: of the epoch, as the generation has it.
        partitions: of the input topic.
        announced: by input partition, the positions announced of this epoch; empty for none.
        sent: reads the update topic from the epoch's start on; called only where its vectors are needed.
        new_solver: for the exact rule.
        share: what of the epoch is this fold's; None for all, with nobody to tell.

    Raises:
        ConfigError: the rule does not go with the epoch's generation.
    """
    if rule == "exact":
        return ExactFold(state, partitions, new_solver, share)
    check_rule(state.generation.manifest.objective)
    astray = restore(state, announced, sent())
    return OryxFold(state, partitions, covered=announced, astray=astray)
