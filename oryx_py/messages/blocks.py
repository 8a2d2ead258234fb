"""Many users' messages as arrays: what one micro-batch says, encoded without a Python object for each number."""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from oryx_py.errors import BadMessage
from oryx_py.messages.item_state import AllSaid, ItemState
from oryx_py.messages.update import Message, Update, UserVector

__all__ = ["Updates", "UserVectors", "encode_block", "expanded"]

_TOGETHER = 256
_NUMPY = orjson.OPT_SERIALIZE_NUMPY


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


Updates: TypeAlias = Update | UserVectors | ItemState | AllSaid
"""What a fold says: messages of the update topic, many of them at once, and states for the item topic."""


def expanded(updates: Sequence[Updates]) -> Iterator[Update]:
    """Return the messages of the update topic one by one, in their order."""
    for update in updates:
        if isinstance(update, ItemState | AllSaid):
            continue
        if isinstance(update, UserVectors):
            yield from map(update.update, range(len(update)))
        else:
            yield update


def encode_block(block: UserVectors) -> list[Message]:
    """Return the records of a block: byte for byte those that `oryx_py.messages.encode` makes of each by itself.

    Raises:
        BadMessage: vectors are not float32[m, k], or not finite; or a strength is not.
    """
    vectors, strengths = block.vectors, block.strengths
    if vectors.dtype != np.float32 or vectors.ndim != 2 or vectors.shape != (len(block), vectors.shape[1] or -1):
        raise BadMessage(f"vectors must be float32[{len(block)}, k], not {vectors.dtype}{list(vectors.shape)}")
    if not (np.isfinite(vectors).all() and np.isfinite(strengths).all()):
        raise BadMessage("vectors and strengths must be finite")
    if not len(block):
        return []
    rows = _rows(vectors)
    users = orjson.dumps(list(block.users))[2:-2].split(b'","') if _plain(block.users) else _each(block.users)
    items = orjson.dumps(list(block.items))[2:-2].split(b'","') if _plain(block.items) else _each(block.items)
    numbers = orjson.dumps(np.ascontiguousarray(strengths), option=_NUMPY)[1:-1].split(b",")
    ends, epoch = block.indptr.tolist(), ("epoch", b"%d" % block.epoch)
    term = () if block.term is None else (("term", b"%d" % block.term),)
    messages: list[Message] = []
    columns = zip(users, rows, ends, ends[1:], block.inputs.tolist(), block.at_ms.tolist(), strict=False)
    for user, row, start, end, offset, at_ms in columns:
        headers = [epoch]
        if offset >= 0:
            headers.append(("input", b"%d" % offset))
        if at_ms >= 0:
            headers.append(("at", b"%d" % at_ms))
        headers += term
        if end == start:
            value = b'["X","%b",[%b]]' % (user, row)
        elif end == start + 1:
            value = b'["X","%b",[%b],["%b"]]' % (user, row, items[start])
            if numbers[start] != b"1.0":
                headers.append(("strengths", b"[%b]" % numbers[start]))
        else:
            value = b'["X","%b",[%b],["%b"]]' % (user, row, b'","'.join(items[start:end]))
            some = numbers[start:end]
            if any(number != b"1.0" for number in some):
                headers.append(("strengths", b"[%b]" % b",".join(some)))
        messages.append(Message(b"UP", value, tuple(headers)))
    return messages


def _rows(vectors: NDArray[np.float32]) -> list[bytes]:
    """Return each vector's numbers; by one call for many, but no more than the processor's caches hold as text."""
    rows: list[bytes] = []
    for begin in range(0, len(vectors), _TOGETHER):
        some = np.ascontiguousarray(vectors[begin : begin + _TOGETHER])
        # There is no text in it, so that brackets are where rows end.
        rows += orjson.dumps(some, option=_NUMPY)[2:-2].split(b"],[")
    return rows


def _plain(names: Sequence[str]) -> bool:
    """Whether the IDs' JSON can be cut at its quotes: none is escaped, which none has in it."""
    return bool(names) and '"' not in (text := "".join(names)) and "\\" not in text


def _each(names: Sequence[str]) -> list[bytes]:
    return [orjson.dumps(name)[1:-1] for name in names]
