"""The registry: what became of each generation, which epoch serves which, and on which topics all of it rests.

A log of commits, each a JSON list of entries; this module folds it and does no I/O, which
`oryx_py.adapters.commit_logs.registry_log` does.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, Protocol

import msgspec

from oryx_py.errors import CorruptLog

__all__ = [
    "Entry",
    "EpochStarted",
    "GenerationState",
    "NumberedCommit",
    "Registry",
    "State",
    "TopicIdentity",
    "TopicsIdentity",
    "decode_entries",
    "encode_entries",
]

State = Literal["candidate", "published", "retired", "rejected"]

# A retired generation may be published again: that is a rollback.
_NEXT: Mapping[State | None, frozenset[State]] = {
    None: frozenset({"candidate", "published", "rejected"}),
    "candidate": frozenset({"candidate", "published", "rejected"}),
    "published": frozenset({"published", "retired"}),
    "retired": frozenset({"published", "retired"}),
    "rejected": frozenset({"rejected"}),
}


class NumberedCommit(Protocol):
    """What is needed of a commit (`oryx_py.ports.store.Commit`)."""

    @property
    def number(self) -> int:
        """From 1, without holes."""
        ...

    @property
    def payload(self) -> bytes:
        """Its content."""
        ...


class GenerationState(msgspec.Struct, frozen=True, tag_field="entry", tag="generation"):
    """What became of a generation; ``reason`` for people, as that of a rejection.

    ``deleted``: the store does not keep it any more, so that it cannot be published again.
    """

    generation: str
    state: State
    reason: str = ""
    deleted: bool = False


class EpochStarted(msgspec.Struct, frozen=True, tag_field="entry", tag="epoch"):
    """One publication of a generation.

    ``start`` has for each partition of the update topic its end before ``MODEL-REF`` was sent (header ``from``): all
    messages of the epoch are at or after it. ``time_ms`` since 1970, UTC. ``reason``: why, if not by the usual course.
    """

    epoch: int
    generation: str
    start: dict[int, int]
    time_ms: int
    reason: str = ""


class TopicIdentity(msgspec.Struct, frozen=True):
    """A topic's ID, which a re-created topic does not keep, and its number of partitions."""

    id: str
    partitions: int


class TopicsIdentity(msgspec.Struct, frozen=True, tag_field="entry", tag="topics"):
    """The cluster and the topics that the offsets belong to; the last one counts, after a migration."""

    cluster_id: str
    topics: dict[str, TopicIdentity]


Entry = GenerationState | EpochStarted | TopicsIdentity

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(list[Entry])


def encode_entries(entries: Sequence[Entry]) -> bytes:
    """The payload of a commit."""
    return _ENCODER.encode(entries)


def decode_entries(commit: NumberedCommit) -> list[Entry]:
    """The entries of a commit; keys that this version does not know are ignored.

    Raises:
        CorruptLog: it is no list of entries, or has a kind of entry that only a newer version knows.
    """
    try:
        return _DECODER.decode(commit.payload)
    except (msgspec.MsgspecError, ValueError) as error:
        raise CorruptLog(
            f"commit {commit.number} of the registry cannot be read ({error}): upgrade oryx-py or restore the commit"
        ) from None


@dataclass(frozen=True, slots=True)
class Registry:
    """The registry as of one commit; ``number`` is that commit's, 0 before the first.

    ``epochs`` ascend by one; ``generations`` has by name the last state of each; ``topics`` is None until set up.
    """

    number: int = 0
    epochs: tuple[EpochStarted, ...] = ()
    generations: Mapping[str, GenerationState] = field(default_factory=lambda: MappingProxyType({}))
    topics: TopicsIdentity | None = None

    @classmethod
    def fold(cls, commits: Iterable[NumberedCommit], seen: "Registry | None" = None) -> "Registry":
        """Apply commits in their order, onto what was ``seen`` or from the first one; time grows as what they say.

        Where there are none, it is what was ``seen``.

        Raises:
            CorruptLog: a commit cannot be read, is out of order, or contradicts those before it.
        """
        seen = seen or cls()
        folding: _Folding | None = None
        for commit in commits:
            folding = folding or _Folding(seen)
            if commit.number != folding.number + 1:
                raise CorruptLog(f"commit {commit.number} of the registry follows commit {folding.number}")
            try:
                folding.add(decode_entries(commit))
            except ValueError as error:
                raise CorruptLog(f"commit {commit.number} of the registry: {error}; restore it from a copy") from None
        return folding.registry() if folding else seen

    def after(self, entries: Sequence[Entry]) -> "Registry":
        """The registry after one more commit of these entries.

        Raises:
            ValueError: an entry contradicts what there is: an epoch that is not the next one, or of a generation that
                is not published; a generation that cannot get that state.
        """
        folding = _Folding(self)
        folding.add(entries)
        return folding.registry()

    @property
    def newest_epoch(self) -> EpochStarted | None:
        """The epoch with the highest number, None before the first."""
        return self.epochs[-1] if self.epochs else None

    @property
    def next_epoch(self) -> int:
        """The number of the epoch to come; the first is 1."""
        return self.epochs[-1].epoch + 1 if self.epochs else 1

    def epoch(self, number: int) -> EpochStarted | None:
        """The epoch of a number, None where the registry has none."""
        return self.epochs[number - 1] if 1 <= number <= len(self.epochs) else None

    def state(self, generation: str) -> State | None:
        """What became of a generation, None where the registry does not know it."""
        known = self.generations.get(generation)
        return known.state if known else None

    def is_deleted(self, generation: str) -> bool:
        """Say whether a generation was given up, even where its files are still there."""
        known = self.generations.get(generation)
        return known is not None and known.deleted


class _Folding:
    """A registry that commits are added to in place, each at the cost of what it says, not of all before it."""

    def __init__(self, seen: Registry) -> None:
        self.number = seen.number
        self._epochs, self._generations, self._topics = list(seen.epochs), dict(seen.generations), seen.topics

    def add(self, entries: Sequence[Entry]) -> None:
        """Apply the next commit; where it raises ValueError, as `Registry.after`, nothing more is to be added."""
        self.number += 1
        for entry in entries:
            match entry:
                case GenerationState():
                    self._set_state(entry)
                case EpochStarted():
                    self._begin(entry)
                case TopicsIdentity():
                    self._topics = entry

    def _state(self, generation: str) -> State | None:
        known = self._generations.get(generation)
        return known.state if known else None

    def _set_state(self, entry: GenerationState) -> None:
        before = self._state(entry.generation)
        if entry.state not in _NEXT[before]:
            raise ValueError(f"generation {entry.generation} is {before or 'unknown'} and cannot become {entry.state}")
        self._generations[entry.generation] = entry

    def _begin(self, entry: EpochStarted) -> None:
        following = self._epochs[-1].epoch + 1 if self._epochs else 1
        if entry.epoch != following:
            raise ValueError(f"epoch {entry.epoch} cannot follow, the next one is {following}")
        if self._state(entry.generation) != "published":
            raise ValueError(f"epoch {entry.epoch} is of generation {entry.generation}, which is not published")
        self._epochs.append(entry)

    def registry(self) -> Registry:
        """What the commits come to."""
        return Registry(self.number, tuple(self._epochs), MappingProxyType(self._generations), self._topics)
