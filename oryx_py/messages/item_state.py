"""The records of the item topic: what a user says of a new item, as a state that replaces the one before.

Key ``["item","user"]``; value ``{"epoch","w","t","x","input"}``; header ``term``, of the user's owner, who sends it.
The item's owner solves the item from the states of all its users. A forgotten item is passed on as the state of the
empty user. Who has taken an input partition over says all that its users say once more, and then, with the empty item
and the partition's number in the user's place, that this was all: what others said of them before counts no more.
"""

import math
from collections.abc import Iterable

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from oryx_py.errors import BadInteraction, BadMessage
from oryx_py.events import check_id
from oryx_py.messages.update import Message

__all__ = ["AllSaid", "ItemState", "decode_state", "encode_state"]


class ItemState(msgspec.Struct, frozen=True, eq=False):
    """One pair's part of a new item's system, or that there is none.

    Attributes:
        item: not empty.
        user: empty where the item is forgotten.
        epoch: the epoch it belongs to.
        input: offset of the user's newest interaction in it, or of the forget, in the user's input partition.
        weight: w of the pair; None where the pair is gone, or the user has no item of the generation.
        target: t of the pair, before biases.
        vector: float32[features], the user's; None as ``weight`` is.
        term: of its sender's ownership of the user's partition; -1 where it has none.
    """

    item: str
    user: str
    epoch: int
    input: int
    weight: float | None = None
    target: float | None = None
    vector: NDArray[np.float32] | None = None
    term: int = -1

    @property
    def forgets(self) -> bool:
        """Whether it says that the item is forgotten."""
        return not self.user


class AllSaid(msgspec.Struct, frozen=True):
    """All that an input partition's users say of new items stands before this with this term, or a higher one.

    Attributes:
        partition: of the input topic.
        epoch: the epoch it belongs to.
        term: of its sender's ownership of the partition.
    """

    partition: int
    epoch: int
    term: int = -1


class _State(msgspec.Struct):
    epoch: int
    input: int
    w: float | None = None
    t: float | None = None
    x: list[float] | None = None


_key = msgspec.json.Decoder(tuple[str, str])
_state = msgspec.json.Decoder(_State)


def encode_state(state: ItemState | AllSaid) -> Message:
    """Return the record of a state; the vector in float32's shortest form."""
    headers = (("term", b"%d" % state.term),) if state.term >= 0 else ()
    value: dict[str, object]
    if isinstance(state, AllSaid):
        key, value = ["", str(state.partition)], {"epoch": state.epoch, "input": 0}
    else:
        vector = None if state.vector is None else np.ascontiguousarray(state.vector)
        key = [state.item, state.user]
        numbers = {"w": state.weight, "t": state.target, "x": vector}
        value = {"epoch": state.epoch, **numbers, "input": state.input}
    return Message(orjson.dumps(key), orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY), headers)


def decode_state(
    key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes | None]] = ()
) -> ItemState | AllSaid:
    """Read one record of the item topic.

    Raises:
        BadMessage: it does not follow the protocol; the message says why.
    """
    if key is None or value is None:
        raise BadMessage("a state of an item has a key and a value")
    try:
        item, user = _key.decode(key)
        found = _state.decode(value)
        term = int(next((value for name, value in headers if name == "term" and value), b"-1"))
        if not item:
            return AllSaid(int(user), found.epoch, term)
        check_id(item, "item")
        if user:
            check_id(user, "user")
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise BadMessage(f"state of an item: {str(error)[:200]}") from None
    except BadInteraction as error:
        raise BadMessage(error.reason) from None
    if found.epoch < 0 or found.input < 0:
        raise BadMessage("state of an item: epoch and input are whole numbers of 0 or above")
    if found.w is None or found.t is None or found.x is None:
        return ItemState(item, user, found.epoch, found.input, term=term)
    vector = np.array(found.x, np.float64).astype(np.float32)
    if not (len(vector) and np.isfinite(vector).all() and math.isfinite(found.w) and math.isfinite(found.t)):
        raise BadMessage("state of an item: its numbers must be finite")
    return ItemState(item, user, found.epoch, found.input, found.w, found.t, vector, term)
