"""Many users' messages as arrays: what one micro-batch says, encoded without a Python object for each number."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import TypeAlias

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from oryx_py.errors import BadMessage
from oryx_py.messages.item_state import AllSaid, ItemState
from oryx_py.messages.update import Update, UserGone, UserVector

__all__ = ["Blocks", "PairsGone", "Updates", "UserVectors", "encode_block", "encode_gone", "expanded"]

_TOGETHER = 256
_NUMPY = orjson.OPT_SERIALIZE_NUMPY
_ONE = b"1.0"
"""A strength that need not be said."""
Headers: TypeAlias = tuple[tuple[str, bytes], ...]


class UserVectors(msgspec.Struct, frozen=True, eq=False):
    """`UP` `X` of many users, none twice; every one has a vector.

    Attributes:
        users: the IDs, which follow the rule for IDs.
        handles: int64[m], theirs in the sender's state, where no one else has any use for them.
        vectors: float32[m, k].
        indptr: int64[m + 1]: whose ``items`` are whose.
        items: IDs.
        item_handles: int64[n], theirs in the sender's state.
        strengths: float64[n].
        epoch: the epoch.
        inputs: int64[m], offset of the newest interaction; -1 where unknown.
        at_ms: int64[m], Kafka's timestamp of the newest interaction; -1 for none.
        term: of the sender's ownership; None for none.
    """

    users: Sequence[str]
    handles: NDArray[np.int64]
    vectors: NDArray[np.float32]
    indptr: NDArray[np.int64]
    items: Sequence[str]
    item_handles: NDArray[np.int64]
    strengths: NDArray[np.float64]
    epoch: int
    inputs: NDArray[np.int64]
    at_ms: NDArray[np.int64]
    term: int | None = None

    def __len__(self) -> int:
        return len(self.users)

    def update(self, at: int) -> UserVector:
        """Return one of them as a message of its own."""
        start, end = int(self.indptr[at]), int(self.indptr[at + 1])
        offset, at_ms = int(self.inputs[at]), int(self.at_ms[at])
        return UserVector(
            user=self.users[at],
            vector=self.vectors[at],
            items=tuple(self.items[start:end]),
            strengths=tuple(self.strengths[start:end].tolist()),
            epoch=self.epoch,
            input=None if offset < 0 else offset,
            at_ms=None if at_ms < 0 else at_ms,
            term=self.term,
        )


class PairsGone(msgspec.Struct, frozen=True, eq=False):
    """`UP` `XD` of many pairs of a user and an item.

    Attributes:
        users: the IDs, which follow the rule for IDs; a user with several pairs is there several times.
        handles: int64[m], theirs in the sender's state.
        items: of each one the item's ID.
        item_handles: int64[m], theirs in the sender's state.
        epoch: the epoch.
        inputs: int64[m], offset of the newest interaction.
        term: of the sender's ownership; None for none.
    """

    users: Sequence[str]
    handles: NDArray[np.int64]
    items: Sequence[str]
    item_handles: NDArray[np.int64]
    epoch: int
    inputs: NDArray[np.int64]
    term: int | None = None

    def __len__(self) -> int:
        return len(self.users)

    def update(self, at: int) -> UserGone:
        """Return one of them as a message of its own."""
        return UserGone(self.users[at], (self.items[at],), self.epoch, int(self.inputs[at]), self.term)


Blocks: TypeAlias = UserVectors | PairsGone
Updates: TypeAlias = Update | Blocks | ItemState | AllSaid
"""What a fold says: messages of the update topic, many of them at once, and states for the item topic."""


def expanded(updates: Sequence[Updates]) -> Iterator[Update]:
    """Return the messages of the update topic one by one, in their order."""
    for update in updates:
        if isinstance(update, ItemState | AllSaid):
            continue
        if isinstance(update, Blocks):
            yield from map(update.update, range(len(update)))
        else:
            yield update


def encode_block(block: UserVectors) -> tuple[list[bytes], list[Headers]]:
    """Return the values and headers of a block's records, all with the key ``UP``.

    Byte for byte they are those that `oryx_py.messages.encode` makes of each message by itself.

    Raises:
        BadMessage: vectors are not float32[m, k], or not finite; or a strength is not.
    """
    vectors, strengths = block.vectors, block.strengths
    if vectors.dtype != np.float32 or vectors.ndim != 2 or vectors.shape != (len(block), vectors.shape[1] or -1):
        raise BadMessage(f"vectors must be float32[{len(block)}, k], not {vectors.dtype}{list(vectors.shape)}")
    if not (np.isfinite(vectors).all() and np.isfinite(strengths).all()):
        raise BadMessage("vectors and strengths must be finite")
    if not len(block):
        return [], []
    tails, headers = [b""] * len(block), _headers(block)
    items, numbers = _texts(block.items), orjson.dumps(np.ascontiguousarray(strengths), option=_NUMPY)[1:-1].split(b",")
    counts = np.diff(block.indptr)
    ones = np.flatnonzero(counts == 1)
    for at, place in zip(ones.tolist(), block.indptr[ones].tolist(), strict=True):
        tails[at] = b',["%b"]' % items[place]
        if numbers[place] != _ONE:
            headers[at] += (("strengths", b"[%b]" % numbers[place]),)
    for at in np.flatnonzero(counts > 1).tolist():
        places = slice(block.indptr[at], block.indptr[at + 1])
        tails[at] = b',["%b"]' % b'","'.join(items[places])
        if any(number != _ONE for number in numbers[places]):
            headers[at] += (("strengths", b"[%b]" % b",".join(numbers[places])),)
    columns = zip(_texts(block.users), _rows(vectors), tails, strict=True)
    return [b'["X","%b",[%b]%b]' % texts for texts in columns], headers


def encode_gone(block: PairsGone) -> tuple[list[bytes], list[Headers]]:
    """Return the values and headers of a block's records, as `encode_block` does."""
    if not len(block):
        return [], []
    columns: list[Iterable[tuple[str, bytes]]] = [repeat(("epoch", b"%d" % block.epoch))]
    columns.append(zip(repeat("input"), _integers(block.inputs), strict=False))
    if block.term is not None:
        columns.append(repeat(("term", b"%d" % block.term)))
    texts = zip(_texts(block.users), _texts(block.items), strict=True)
    return [b'["XD","%b",["%b"]]' % names for names in texts], list(zip(*columns, strict=False))


def _headers(block: UserVectors) -> list[Headers]:
    """Return each message's headers, but for that of the strengths."""
    columns: list[Iterable[tuple[str, bytes]]] = [repeat(("epoch", b"%d" % block.epoch))]
    columns.append(zip(repeat("input"), _integers(block.inputs), strict=False))
    columns.append(zip(repeat("at"), _integers(block.at_ms), strict=False))
    if block.term is not None:
        columns.append(repeat(("term", b"%d" % block.term)))
    found = list(zip(*columns, strict=False))
    for at in np.flatnonzero((block.inputs < 0) | (block.at_ms < 0)).tolist():
        found[at] = tuple(header for header in found[at] if not header[1].startswith(b"-"))
    return found


def _integers(numbers: NDArray[np.int64]) -> list[bytes]:
    return orjson.dumps(np.ascontiguousarray(numbers), option=_NUMPY)[1:-1].split(b",")


def _rows(vectors: NDArray[np.float32]) -> Iterator[bytes]:
    """Return each vector's numbers; by one call for many, but no more than the processor's caches hold as text."""
    for begin in range(0, len(vectors), _TOGETHER):
        some = np.ascontiguousarray(vectors[begin : begin + _TOGETHER])
        # There is no text in it, so that brackets are where rows end.
        yield from orjson.dumps(some, option=_NUMPY)[2:-2].split(b"],[")


def _texts(names: Sequence[str]) -> list[bytes]:
    """Return each ID as JSON has it between quotes."""
    if not names:
        return []
    text = orjson.dumps(list(names))
    # Where as many quotes are as there must be and nothing is escaped, none is in an ID, and they are where to cut.
    if text.count(b'"') == 2 * len(names) and b"\\" not in text:
        return text[2:-2].split(b'","')
    return [orjson.dumps(name)[1:-1] for name in names]
