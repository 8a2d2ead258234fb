"""The messages of the update topic, as values.

Offsets are those of the input topic unless a name says otherwise. `epoch` is None in what Oryx 2 sends.
"""

from collections.abc import Mapping
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

__all__ = ["ItemGone", "ItemVector", "Message", "ModelRef", "Progress", "Update", "UserGone", "UserVector"]

Vector: TypeAlias = NDArray[np.float32] | None


class ModelRef(msgspec.Struct, frozen=True):
    """`MODEL-REF`: an epoch has begun; the registry says whether it counts.

    Attributes:
        uri: the generation's directory in the artefact store.
        epoch: its number.
        generation: the generation's name.
        start: header `from`, by partition the update topic's end offsets before this was sent.
    """

    uri: str
    epoch: int
    generation: str
    start: Mapping[int, int]


class UserVector(msgspec.Struct, frozen=True, eq=False):
    """`UP` `X`: a user's vector, and the items whose state changed or that the user now knows.

    Attributes:
        user: not empty.
        vector: float32[features], finite; None for none, or none any more.
        items: IDs, not empty.
        strengths: the folded strengths of `items`, in order.
        epoch: the epoch it belongs to.
        input: offset of the newest interaction in it, in the user's input partition; None where unknown.
        at_ms: header `at`, Kafka's timestamp of the newest interaction that this answers; None where it answers none,
            but others' changes or a replay. It measures, and has no part in the state.
        term: header `term`, of its sender's ownership (`oryx_py.model.epochs.terms`); None where it has none.
    """

    user: str
    vector: Vector
    items: tuple[str, ...] = ()
    strengths: tuple[float, ...] = ()
    epoch: int | None = None
    input: int | None = None
    at_ms: int | None = None
    term: int | None = None

    __hash__ = None  # type: ignore[assignment]  # arrays have none

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UserVector) and _equal(self, other)


class ItemVector(msgspec.Struct, frozen=True, eq=False):
    """`UP` `Y`: an item's vector.

    Attributes:
        item: not empty.
        vector: float32[features], finite; None for none any more.
        users: IDs, not empty; Oryx 2 sends them.
        epoch: the epoch it belongs to.
        item_input: its offset in the item topic; None where there is no such topic.
        term: header `term`, of its sender's ownership (`oryx_py.model.epochs.terms`); None where it has none.
    """

    item: str
    vector: Vector
    users: tuple[str, ...] = ()
    epoch: int | None = None
    item_input: int | None = None
    term: int | None = None

    __hash__ = None  # type: ignore[assignment]  # arrays have none

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ItemVector) and _equal(self, other)


class UserGone(msgspec.Struct, frozen=True):
    """`UP` `XD`: items are no longer known to a user; `items` None: forget the user altogether."""

    user: str
    items: tuple[str, ...] | None = None
    epoch: int | None = None
    input: int | None = None
    term: int | None = None


class ItemGone(msgspec.Struct, frozen=True):
    """`UP` `YD`: forget an item altogether."""

    item: str
    epoch: int | None = None
    item_input: int | None = None
    term: int | None = None


class Progress(msgspec.Struct, frozen=True):
    """`PROGRESS`: all user updates below these offsets precede this message in its partition.

    Attributes:
        input: by input partition of the process that sends it, the offset that comes next.
        live: by input partition, whether the epoch has caught up with the one before it.
        epoch: the epoch it belongs to.
        term: header `term`, of its sender's ownership (`oryx_py.model.epochs.terms`); None where it has none.
            It holds for the partitions named here, whatever the epoch.
    """

    input: Mapping[int, int]
    live: Mapping[int, bool]
    epoch: int
    term: int | None = None

    @property
    def partitions(self) -> frozenset[int]:
        """The input partitions that its sender speaks for."""
        return frozenset(self.input) | frozenset(self.live)


Update: TypeAlias = ModelRef | UserVector | ItemVector | UserGone | ItemGone | Progress


class Message(msgspec.Struct, frozen=True, gc=False):
    """One record of the update topic, without its partition."""

    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


def _equal(a: msgspec.Struct, b: msgspec.Struct) -> bool:
    """Compare two structs of one type field by field, arrays by their bits."""
    for x, y in zip(msgspec.structs.astuple(a), msgspec.structs.astuple(b), strict=True):
        if isinstance(x, np.ndarray) and isinstance(y, np.ndarray):
            if x.dtype != y.dtype or x.shape != y.shape or x.tobytes() != y.tobytes():
                return False
        elif isinstance(x, np.ndarray) or isinstance(y, np.ndarray) or x != y:
            return False
    return True
