"""The messages of the update topic, as records: `encode` and `decode`, inverse to each other."""

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, TypeAlias, TypeVar

import msgspec
import numpy as np
import orjson
from msgspec import UNSET, Meta, UnsetType

from oryx_py.errors import BadInteraction, BadMessage
from oryx_py.events import check_id
from oryx_py.messages.update import (
    ItemGone,
    ItemVector,
    Message,
    ModelRef,
    Progress,
    Update,
    UserGone,
    UserVector,
    Vector,
)

__all__ = ["decode", "encode"]

_Headers: TypeAlias = tuple[tuple[str, bytes], ...]
_T = TypeVar("_T")

_Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Offsets: TypeAlias = dict[_Count, _Count]

_MAX_REASON = 200


class _X(msgspec.Struct, array_like=True, tag="X", gc=False):
    user: str
    vector: list[float]
    items: list[str] = []


class _Y(msgspec.Struct, array_like=True, tag="Y", gc=False):
    item: str
    vector: list[float]
    users: list[str] = []


class _XD(msgspec.Struct, array_like=True, tag="XD", gc=False):
    user: str
    items: list[str] | UnsetType = UNSET


class _YD(msgspec.Struct, array_like=True, tag="YD", gc=False):
    item: str


class _Progress(msgspec.Struct):
    input: _Offsets
    live: dict[_Count, bool] = {}


_up: msgspec.json.Decoder[_X | _Y | _XD | _YD] = msgspec.json.Decoder(_X | _Y | _XD | _YD)
_progress = msgspec.json.Decoder(_Progress)
_offsets = msgspec.json.Decoder(_Offsets)
_strengths = msgspec.json.Decoder(list[float])


def encode(update: Update) -> Message:
    """Return the record of an update; vectors in float32's shortest form.

    Raises:
        BadMessage: a vector is not float32[k] or not finite, a strength is not finite, or an ID breaks the rule.
    """
    match update:
        case UserVector():
            parts = ["X", _id(update.user, "user"), _numbers(update.vector), *_optional(update.items)]
            numbers = _int_headers(epoch=update.epoch, input=update.input, at=update.at_ms, term=update.term)
            headers = numbers + _strengths_header(update)
        case ItemVector():
            parts = ["Y", _id(update.item, "item"), _numbers(update.vector), *_optional(update.users)]
            headers = _int_headers(epoch=update.epoch, item_input=update.item_input, term=update.term)
        case UserGone():
            parts = ["XD", _id(update.user, "user"), *([] if update.items is None else [_ids(update.items)])]
            headers = _int_headers(epoch=update.epoch, input=update.input, term=update.term)
        case ItemGone():
            parts = ["YD", _id(update.item, "item")]
            headers = _int_headers(epoch=update.epoch, item_input=update.item_input, term=update.term)
        case Progress():
            progress = _Progress(dict(update.input), dict(update.live))
            headers = _int_headers(epoch=update.epoch, term=update.term)
            return Message(b"PROGRESS", msgspec.json.encode(progress), headers)
        case ModelRef():
            generation = ("generation", _id(update.generation, "generation").encode())
            start = ("from", msgspec.json.encode(update.start))
            return Message(b"MODEL-REF", update.uri.encode(), (*_int_headers(epoch=update.epoch), generation, start))
    return Message(b"UP", orjson.dumps(parts, option=orjson.OPT_SERIALIZE_NUMPY), headers)


def decode(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes | None]] | None) -> Update:
    """Read one record of the update topic; unknown headers and what follows the known elements are ignored.

    Raises:
        BadMessage: it does not follow the wire protocol; the message says why.
    """
    known = dict(headers) if headers else {}
    if value is None:
        raise BadMessage("the message has no value")
    if key == b"UP":
        return _decode_up(value, known)
    if key == b"PROGRESS":
        progress = _json(_progress, value, "PROGRESS")
        return Progress(progress.input, progress.live, _required(known, "epoch"), _int(known, "term"))
    if key == b"MODEL-REF":
        return _decode_model_ref(value, known)
    if key == b"MODEL":
        raise BadMessage("MODEL: an Oryx 2 model inline is not supported")
    raise BadMessage(f"unknown key {key[:40]!r}" if key else "the message has no key")


def _decode_up(value: bytes, headers: Mapping[str, bytes | None]) -> Update:
    parts = _json(_up, value, "UP")
    epoch, term = _int(headers, "epoch"), _int(headers, "term")
    match parts:
        case _X():
            items = _ids(parts.items)
            strengths = _read_strengths(headers.get("strengths"), len(items))
            user, vector = _id(parts.user, "user"), _vector(parts.vector)
            offset, at_ms = _int(headers, "input"), _int(headers, "at")
            return UserVector(user, vector, items, strengths, epoch, offset, at_ms, term)
        case _Y():
            users, vector = _ids(parts.users), _vector(parts.vector)
            return ItemVector(_id(parts.item, "item"), vector, users, epoch, _int(headers, "item-input"), term)
        case _XD():
            gone = None if parts.items is UNSET else _ids(parts.items)
            return UserGone(_id(parts.user, "user"), gone, epoch, _int(headers, "input"), term)
        case _YD():
            return ItemGone(_id(parts.item, "item"), epoch, _int(headers, "item-input"), term)


def _decode_model_ref(value: bytes, headers: Mapping[str, bytes | None]) -> ModelRef:
    try:
        uri, generation = value.decode(), (headers.get("generation") or b"").decode()
    except UnicodeDecodeError:
        raise BadMessage("MODEL-REF: not UTF-8") from None
    start = _json(_offsets, headers.get("from") or b"", "MODEL-REF: header from")
    return ModelRef(_id(uri, "uri"), _required(headers, "epoch"), _id(generation, "generation"), start)


def _json(decoder: msgspec.json.Decoder[_T], text: bytes, what: str) -> _T:
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # msgspec repeats what it found, however long.
        raise BadMessage(f"{what}: {str(error)[:_MAX_REASON]}") from None


def _int(headers: Mapping[str, bytes | None], name: str) -> int | None:
    text = headers.get(name)
    if text is None:
        return None
    # 18 digits always fit 64 bits.
    if text.isdigit() and len(text) <= 18:
        return int(text)
    raise BadMessage(f"header {name} must be a whole number of 0 or above, not {text[:40]!r}")


def _required(headers: Mapping[str, bytes | None], name: str) -> int:
    number = _int(headers, name)
    if number is None:
        raise BadMessage(f"header {name} is missing")
    return number


def _int_headers(**numbers: int | None) -> _Headers:
    return tuple((name.replace("_", "-"), b"%d" % number) for name, number in numbers.items() if number is not None)


def _id(text: str, what: str) -> str:
    try:
        return check_id(text, what)
    except BadInteraction as error:
        raise BadMessage(error.reason) from None


def _ids(texts: Sequence[str]) -> tuple[str, ...]:
    for text in texts:
        _id(text, "an ID in the list")
    return tuple(texts)


def _optional(texts: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the fourth element, or nothing where it would be empty."""
    return [_ids(texts)] if texts else []


def _vector(numbers: list[float]) -> Vector:
    """Return float32[k], read-only, None for an empty list."""
    if not numbers:
        return None
    # array converts twice as fast as NumPy, and makes infinity of what is too large without a warning.
    vector = np.frombuffer(array("f", numbers), np.float32)
    if not np.isfinite(vector).all():
        raise BadMessage("UP: a number of the vector is too large for float32")
    vector.flags.writeable = False
    return vector


def _numbers(vector: Vector) -> object:
    if vector is None:
        return []
    if vector.dtype != np.float32 or vector.ndim != 1 or len(vector) == 0:
        raise BadMessage(f"a vector must be float32[k], not {vector.dtype}{list(vector.shape)}")
    if not np.isfinite(vector).all():
        raise BadMessage("a vector must be finite")
    return np.ascontiguousarray(vector)


def _strengths_header(update: UserVector) -> _Headers:
    """Return the header, none where all strengths are what a missing one means."""
    if len(update.strengths) != len(update.items):
        raise BadMessage(f"{len(update.strengths)} strengths for {len(update.items)} items")
    if not all(map(math.isfinite, update.strengths)):
        raise BadMessage("a strength must be finite")
    if all(strength == 1.0 for strength in update.strengths):
        return ()
    return (("strengths", orjson.dumps(update.strengths)),)


def _read_strengths(header: bytes | None, count: int) -> tuple[float, ...]:
    if header is None:
        return (1.0,) * count
    strengths = _json(_strengths, header, "UP: header strengths")
    if len(strengths) > count:
        raise BadMessage(f"UP: {len(strengths)} strengths for {count} items")
    return (*strengths, *[1.0] * (count - len(strengths)))
