"""Takes one rule of `consistency.md` away at a time, to see that the simulation notices.

Each replaces one function of the code, as an engineer might have written it who did not know the rule.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import numpy as np

import batch_layer.housekeeping.topic_trimming
import batch_layer.publishing.recovery
import batch_layer.run.layer
import serving_layer.epoch_sources.epoch_choice
import serving_layer.epoch_sources.registry_source
import speed_layer.epochs.held
import speed_layer.loading.epoch_loader
import speed_layer.micro_batches.waiting
from batch_layer.history.folder import HistoryFolder
from oryx_py.messages import ModelRef, UserGone, decode
from oryx_py.model.epochs.registry import EpochStarted
from oryx_py.model.epochs.terms import Terms
from oryx_py.model.state.model_state import ModelState
from oryx_py.runtime.checkpoints import Checkpoints
from serving_layer.epoch_sources.registry_source import RegistrySource
from speed_layer.epochs.repeats import Repeats
from speed_layer.epochs.run import EpochRun, Phase
from speed_layer.folding.exact_fold import ExactFold
from speed_layer.folding.level_solver import LevelSolver
from speed_layer.group_member import GroupMember
from speed_layer.layer import SpeedLayer
from speed_layer.micro_batches.waiting import WaitingInteractions
from speed_layer.publishing.dead_letters import DeadLetters
from speed_layer.publishing.records import dead_letter
from speed_layer.sharing.peers import Peers
from speed_layer.solving.levels import Levels
from tests.simulation.clock import SimClock
from tests.simulation.plan import SHARED, SLOW

__all__ = ["MUTATIONS", "Mutation"]


@dataclass(frozen=True, slots=True)
class Mutation:
    """One rule less."""

    name: str
    rule: str
    """Its number in `consistency.md`."""
    patch: Callable[[], Any]
    """Makes the context in which it is gone."""
    near: int
    """A seed from which on it was found; the test looks from there, and must find it."""


def _in_place_of(owner: Any, name: str, function: Callable[..., Any]) -> Callable[[], Any]:
    """Replace a function by one that is given the original first."""
    original = getattr(owner, name)
    return lambda: mock.patch.object(owner, name, lambda *args, **words: function(original, *args, **words))


def _without(owner: Any, name: str) -> Callable[[], Any]:
    """Do nothing in place of a function."""
    return lambda: mock.patch.object(owner, name, return_value=None)


def _backwards(
    _: Any, self: SpeedLayer, run: EpochRun, records: Sequence[Any], original: Any = SpeedLayer._fold
) -> Any:
    return original(self, run, list(reversed(records)))


def _own_settings(_: Any, strengths: Any, *_args: Any) -> Any:
    return strengths, np.ones(len(strengths), np.bool_)


def _own_time(original: Any, *args: Any) -> Any:
    return original(*args[:-1], SimClock.START_MS + 60_000)


def _level3_feeds_back(original: Any, self: LevelSolver, *args: Any) -> Any:
    levels = self._levels
    level3, levels.level3 = levels.level3, set()
    try:
        return original(self, *args)
    finally:
        levels.level3 = level3


def _forgets_in_one_partition(original: Any, self: WaitingInteractions, name: str, partition: int, offset: int) -> None:
    if partition == 0:
        original(self, name, partition, offset)


def _never_new_again(_: Any, self: Levels, items: Any) -> Any:
    return items < self._state.items.base


def _no_announcement_when_it_starts(original: Any, registry: Any, store: Any, publisher: Any) -> Any:
    with mock.patch.object(publisher, "announce", return_value=[]):
        return original(registry, store, publisher)


def _epochs_of_the_topic(original: Any, self: RegistrySource, *args: Any, **words: Any) -> None:
    original(self, *args, **words)
    consumer = self._new_consumer()
    start = self._admin.start_offsets(self._topic)
    consumer.assign({(self._topic, partition): offset for partition, offset in start.items()})
    for record in consumer.poll(10_000, 0.0):
        if getattr(record, "key", None) == b"MODEL-REF":
            ref = decode(record.key, record.value, record.headers)  # type: ignore[union-attr]
            assert isinstance(ref, ModelRef)
            if ref.epoch > max((entry.epoch for entry in self._registry.epochs), default=0):
                entry = EpochStarted(ref.epoch, ref.generation, dict(ref.start), 0)
                self._registry = replace(self._registry, epochs=(*self._registry.epochs, entry))


def _does_not_replay(original: Any, self: EpochRun, *args: Any) -> bool:
    return self.phase is Phase.REPLAY or original(self, *args)


def _progress_first(original: Any, self: SpeedLayer, *args: Any) -> None:
    later: list[Any] = []
    with mock.patch.object(self, "_deliver", lambda *records: later.append(records)):
        original(self, *args)
    for records in later:
        self._deliver(*records)


def _only_what_is_known(original: Any, self: EpochRun, *args: Any) -> list[Any]:
    was = self.phase
    updates = original(self, *args)
    return updates if was is Phase.FOLLOW else [update for update in updates if not isinstance(update, UserGone)]


def _writes_again(_: Any, self: DeadLetters, record: Any, reason: str) -> Any:
    return dead_letter(record, reason, self._dead_letter_topic)


def _highest(_: Any, start: Mapping[int, int], needed: Sequence[Mapping[int, int]]) -> dict[int, int]:
    return {
        p: max(n.get(p, 0) for n in needed) for p in start if needed and max(n.get(p, 0) for n in needed) > start[p]
    }


def _live_at_once(original: Any, candidate: Any, served: Any, partitions: Any, **words: Any) -> bool:
    return bool(original(candidate, served, partitions, **{**words, "require_live": False}))


def _starts_with_the_oldest(_: Any, epochs: Sequence[EpochStarted], *args: Any, **words: Any) -> int | None:
    return epochs[0].epoch if epochs else None


def _always(_: EpochRun) -> bool:
    return True


def _needs_no_letters(_: Any, self: Any) -> dict[int, int]:
    return dict(self._admin.end_offsets(self._input))


def _whatever_was_announced(
    original: Any, self: Checkpoints, epoch: Any, generation: Any, _: Any = None, wanted: Any = None
) -> Any:
    return original(self, epoch, generation, None, wanted)


def _live_here_alone(_: Any, runs: Sequence[EpochRun], partitions: Any) -> list[EpochRun]:
    return ([run for run in runs if run.is_live] or list(runs))[-1:]


def _newest_beside_served(original: Any, *args: Any, **words: Any) -> Any:
    return original(*args, **{**words, "live": (), "under_way": ()})


@contextmanager
def _checkpoints_at_any_time() -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(EpochRun, "at_rest", property(_always)))
        stack.enter_context(_in_place_of(Checkpoints, "newest", _whatever_was_announced)())
        yield


@contextmanager
def _sweeps_nothing() -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(batch_layer.publishing.recovery, "sweep_halves", return_value=None))
        stack.enter_context(mock.patch.object(HistoryFolder, "uncommitted", return_value=[]))
        yield


MUTATIONS = [
    Mutation("records-in-another-order", "1", _in_place_of(SpeedLayer, "_fold", _backwards), 4),
    Mutation(
        "own-fold-settings", "2", _in_place_of(speed_layer.micro_batches.waiting, "weigh_columns", _own_settings), 0
    ),
    Mutation("own-time-for-decay", "3", _in_place_of(speed_layer.micro_batches.waiting, "weigh_columns", _own_time), 0),
    Mutation("level-3-feeds-back", "4", _in_place_of(LevelSolver, "solve_items", _level3_feeds_back), 41),
    Mutation(
        "no-look-back-for-keys",
        "5",
        lambda: mock.patch.object(
            speed_layer.loading.epoch_loader,
            "read_back",
            lambda _consumer, _topic, settings, *_args, **_words: Repeats(settings, {}),
        ),
        60,
    ),
    Mutation(
        "item-forgotten-in-one-partition",
        "6",
        _in_place_of(WaitingInteractions, "_forget_item", _forgets_in_one_partition),
        5,
    ),
    Mutation("forgotten-item-keeps-its-row", "6", _in_place_of(Levels, "is_level0", _never_new_again), 112),
    Mutation(
        "model-ref-is-not-sent-again",
        "7",
        _in_place_of(batch_layer.run.layer, "recover", _no_announcement_when_it_starts),
        44,
    ),
    Mutation("half-files-are-not-swept", "7", _sweeps_nothing, 0),
    Mutation(
        "finished-candidate-is-left",
        "7",
        lambda: mock.patch.object(batch_layer.publishing.recovery, "unregistered", return_value=[]),
        189,
    ),
    Mutation("epochs-from-the-topic", "8", _in_place_of(RegistrySource, "look", _epochs_of_the_topic), 0),
    Mutation("no-replay-from-n", "9", _in_place_of(EpochRun, "add", _does_not_replay), 0),
    Mutation(
        "swap-before-live",
        "9",
        _in_place_of(serving_layer.epoch_sources.registry_source, "may_serve", _live_at_once),
        0,
    ),
    Mutation(
        "swap-to-what-is-behind",
        "9",
        _in_place_of(
            serving_layer.epoch_sources.epoch_choice,
            "missing_partitions",
            lambda original, candidate, _served, partitions: original(candidate, None, partitions),
        ),
        954,
    ),
    Mutation(
        "start-with-the-oldest-epoch",
        "9",
        _in_place_of(serving_layer.epoch_sources.registry_source, "first_choice", _starts_with_the_oldest),
        5,
    ),
    Mutation(
        "leaves-what-is-served",
        "9",
        _in_place_of(speed_layer.epochs.held, "kept_beside", _live_here_alone),
        SHARED + 66,
    ),
    Mutation(
        "newest-beside-what-is-served",
        "9",
        _in_place_of(serving_layer.epoch_sources.registry_source, "held_epochs", _newest_beside_served),
        SLOW + 20,
    ),
    Mutation("progress-before-updates", "10", _in_place_of(SpeedLayer, "_advance", _progress_first), 0),
    Mutation(
        "no-resend-after-a-restart", "10", lambda: mock.patch.object(ExactFold, "resend", return_value=[]), SHARED + 300
    ),
    Mutation("no-removals-in-a-new-epoch", "10", _in_place_of(EpochRun, "take", _only_what_is_known), 0),
    Mutation(
        "stale-updates-are-applied", "11", lambda: mock.patch.object(ModelState, "_is_stale", return_value=False), 5
    ),
    Mutation("former-owners-are-heard", "11", lambda: mock.patch.object(Terms, "has_ended", return_value=False), 63),
    Mutation("states-of-items-are-not-heard", "13", _without(Peers, "hear_state"), SHARED + 18),
    Mutation("vectors-of-items-are-not-heard", "13", _without(Peers, "hear_item"), SHARED + 77),
    Mutation("what-was-lost-is-kept", "13", _without(GroupMember, "_let_go"), SHARED + 9),
    Mutation("reads-do-not-wait", "12", lambda: mock.patch.object(ModelState, "covers", return_value=True), 0),
    Mutation("checkpoint-before-all-is-announced", "14", _checkpoints_at_any_time, 161),
    Mutation("checkpoint-without-its-window", "14", lambda: mock.patch.object(Repeats, "dump", return_value={}), 142),
    Mutation(
        "trims-what-is-needed", "15", _in_place_of(batch_layer.housekeeping.topic_trimming, "trim_points", _highest), 7
    ),
    Mutation(
        "trims-what-letters-need",
        "15",
        _in_place_of(batch_layer.housekeeping.topic_trimming.TopicTrimmer, "_dead_letters_written", _needs_no_letters),
        0,
    ),
    Mutation(
        "history-is-not-asked",
        "15",
        lambda: mock.patch.object(
            speed_layer.loading.epoch_loader, "LogOrHistory", lambda consumer, *_args, **_words: consumer
        ),
        273,
    ),
    Mutation("dead-letters-twice", "17", _in_place_of(DeadLetters, "of", _writes_again), 30),
]
