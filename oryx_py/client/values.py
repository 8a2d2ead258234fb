"""What the client gives and takes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self, TypeAlias

import msgspec

__all__ = ["After", "Answered", "Counted", "Items", "Ready", "Scored", "Written"]

Items: TypeAlias = str | Sequence[str | tuple[str, float]] | Mapping[str, float]
"""Items, each with a strength or without (1): ``"i1"``, ``["i1", "i2"]``, ``{"i1": 2.5}``, ``["i1", ("i2", -1.0)]``."""


class Scored(msgspec.Struct, frozen=True, gc=False):
    """An item and its score: a dot product or a cosine, as the method says."""

    id: str
    value: float


class Counted(msgspec.Struct, frozen=True, gc=False):
    """An item and how many users know it, or a user and how many items they know."""

    id: str
    count: int


class Answered(msgspec.Struct, frozen=True):
    """One user's part of a batch answer.

    Attributes:
        user: the ID that was asked for.
        items: best first; empty where the status is not 200.
        status: 200, or what a call for this user alone would have got: 404.
        detail: why, where it is not 200.
    """

    user: str
    items: list[Scored] = []
    status: int = 200
    detail: str = ""


class Ready(msgspec.Struct, frozen=True):
    """Whether a model is served, and what is waited for.

    Attributes:
        ready: lists can be had.
        waiting_for: what is missing; beside a model that is served, what a newer one waits for.
        detail: that in one sentence, where it is not ready.
        generation: of the model served, None without one.
        epoch: of the model served, None without one.
        input: next offset of the input topic that the model does not have yet, by partition.
    """

    ready: bool = False
    waiting_for: Sequence[str] = ()
    detail: str = ""
    generation: str | None = None
    epoch: int | None = None
    input: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class Written:
    """Where in the input a write is stored: the last offset by partition; for ``after=`` of a read.

    ``first | second`` is the place of both. It is empty (false) where the service names no place. Its text is
    ``partition:offset,…``, which `parse` reads.
    """

    offsets: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``partition:offset,…``, of several for a partition the highest.

        Raises:
            ValueError: it is none.
        """
        offsets: dict[int, int] = {}
        for entry in text.split(",") if text else ():
            partition, colon, offset = entry.strip().partition(":")
            if not (colon and partition.isdecimal() and offset.isdecimal()):
                raise ValueError(f"{entry!r} is not partition:offset")
            offsets[int(partition)] = max(int(offset), offsets.get(int(partition), 0))
        return cls(offsets)

    @classmethod
    def together(cls, several: Iterable["Written"]) -> Self:
        """Return the place of all of them."""
        offsets: dict[int, int] = {}
        for written in several:
            for partition, offset in written.offsets.items():
                offsets[partition] = max(offset, offsets.get(partition, 0))
        return cls(offsets)

    def __or__(self, other: "Written") -> "Written":
        return Written.together((self, other))

    def __bool__(self) -> bool:
        return bool(self.offsets)

    def __str__(self) -> str:
        return ",".join(f"{partition}:{offset}" for partition, offset in sorted(self.offsets.items()))


After: TypeAlias = Written | str | None
"""What a read has to include: what a write returned, or its text."""
