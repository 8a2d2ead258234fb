"""Interactions as text: CSV lines, JSON arrays, and the JSON objects of HTTP clients.

The CSV forms, RFC 4180, one line a value; further fields are refused:

    user,item                            strength 1
    user,item,                           delete the pair
    user,item,strength
    user,item,strength,timestamp         epoch milliseconds
    user,item,strength,timestamp,kind
    user,,      ,item,                   forget the user, forget the item

A JSON array has the same fields. In JSON, null is an empty field, a whole number as an ID is its digits, and text as a
strength or timestamp is read as in CSV (Oryx 2's clients send arrays of strings).
"""

import math
from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from oryx_py.errors import BadInteraction
from oryx_py.events.csv_line import join_fields, split_line
from oryx_py.events.ids import check_id
from oryx_py.events.interaction import Interaction

__all__ = ["FIELDS", "check_id", "encode_csv", "parse_object", "parse_value", "strength_of_text"]

MAX_STRENGTH = 3.4028234663852886e38
"""Trainers compute in float32; what is infinite there is refused, which also keeps sums in float64 finite."""

MAX_TIMESTAMP_MS = 2**63 - 1

FIELDS = 5
"""A line has so many, at most."""
_KEYS = frozenset({"user", "item", "strength", "timestamp", "event"})

_Scalar: TypeAlias = str | int | float | None
_decode_array = msgspec.json.Decoder(list[_Scalar]).decode


def parse_value(value: bytes | None) -> Interaction:
    """Read one value of the input topic, or one line of a client.

    Args:
        value: UTF-8; a JSON array if it begins with `[`, else CSV. One line break at its end is ignored.

    Raises:
        BadInteraction: it is none of the forms above; the message says why.
    """
    if not value:
        raise BadInteraction("the value is empty")
    if value[0] == 0x5B:
        return _from_array(value)
    try:
        fields = split_line(value.decode())
    except UnicodeDecodeError as error:
        raise BadInteraction(f"not UTF-8 at byte {error.start}") from None
    count = len(fields)
    if count < 2 or count > FIELDS:
        found = "more than 5 fields" if count > FIELDS else "a single field"
        raise BadInteraction(f"{found}, not user,item,strength,timestamp,kind")
    strength = strength_of_text(fields[2]) if count > 2 else 1.0
    timestamp_ms = _timestamp_of_text(fields[3]) if count > 3 else None
    return _checked(fields[0], fields[1], strength, timestamp_ms, fields[4] if count > 4 else "")


def parse_object(obj: Mapping[str, object]) -> Interaction:
    """Read one JSON object of an HTTP client: `{"user":…, "item":…, "strength":…, "timestamp":…, "event":…}`.

    A missing strength is 1, null deletes. `user` and `item` must be there; null or "" in one, with strength null,
    forgets the other.

    Raises:
        BadInteraction: a key is missing or unknown, or a value is not what it should be; the message says which.
    """
    if not obj.keys() >= {"user", "item"}:
        raise BadInteraction(f"{'item' if 'user' in obj else 'user'} is missing")
    if not obj.keys() <= _KEYS:
        unknown = min(str(key) for key in obj.keys() - _KEYS)
        raise BadInteraction(f"unknown key {_quoted(unknown)}, known are user, item, strength, timestamp, event")
    return _from_scalars(obj["user"], obj["item"], obj.get("strength", 1.0), obj.get("timestamp"), obj.get("event"))


def encode_csv(interaction: Interaction) -> bytes:
    """Return the CSV line, without a line break, that `parse_value` reads back as an equal interaction."""
    strength, timestamp_ms, kind = interaction.strength, interaction.timestamp_ms, interaction.kind
    fields = [interaction.user, interaction.item, "" if strength is None else _shortest(strength)]
    if timestamp_ms is not None or kind is not None:
        fields.append("" if timestamp_ms is None else str(timestamp_ms))
    if kind is not None:
        fields.append(kind)
    return join_fields(fields).encode()


def _from_array(value: bytes) -> Interaction:
    try:
        fields = _decode_array(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInteraction(f"begins with [ but is not a JSON array of text and numbers: {error}") from None
    if not 2 <= len(fields) <= FIELDS:
        raise BadInteraction(f"a JSON array of {len(fields)}, not [user, item, strength, timestamp, kind]")
    strength = fields[2] if len(fields) > 2 else 1.0
    timestamp, kind = (*fields[3:], None, None)[:2]
    return _from_scalars(fields[0], fields[1], strength, timestamp, kind)


def _from_scalars(user: object, item: object, strength: object, timestamp: object, kind: object) -> Interaction:
    return _checked(
        _id_of(user, "user"),
        _id_of(item, "item"),
        _strength_of(strength),
        _timestamp_of(timestamp),
        _id_of(kind, "kind"),
    )


def _checked(user: str, item: str, strength: float | None, timestamp_ms: int | None, kind: str) -> Interaction:
    if strength is not None or (user and item):
        check_id(user, "user")
        check_id(item, "item")
    elif user or item:
        check_id(user or item, "user" if user else "item")
    else:
        raise BadInteraction("user and item are empty")
    return Interaction(user, item, strength, timestamp_ms, check_id(kind, "kind") if kind else None)


def _id_of(value: object, what: str) -> str:
    """Return text as it is, a whole number's digits, and "" for null."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_TIMESTAMP_MS:
        return str(value)
    raise BadInteraction(f"{what} must be text")


def _strength_of(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, str):
        return strength_of_text(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and -MAX_STRENGTH <= value <= MAX_STRENGTH:
        return float(value)
    raise BadInteraction("strength must be a finite number in the range of float32")


def strength_of_text(text: str) -> float | None:
    """Read the field of a strength; None for an empty one.

    Raises:
        BadInteraction: it is no number, or one beyond float32.
    """
    if not text:
        return None
    try:
        strength = float(text)
    except ValueError:
        strength = math.nan
    # Python also takes other scripts' digits, underscores and any white space.
    if -MAX_STRENGTH <= strength <= MAX_STRENGTH and text.isascii() and text.isprintable() and "_" not in text:
        return strength
    raise BadInteraction(f"strength must be a finite number in the range of float32, not {_quoted(text)}")


def _timestamp_of(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, str):
        return _timestamp_of_text(value)
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if whole and not isinstance(value, bool) and 0 <= value <= MAX_TIMESTAMP_MS:  # type: ignore[operator]
        return int(value)  # type: ignore[call-overload,no-any-return]
    raise BadInteraction("timestamp must be epoch milliseconds, a whole number of 0 or above")


def _timestamp_of_text(text: str) -> int | None:
    if not text:
        return None
    if text.isascii() and text.isdigit() and len(text) < 20:
        timestamp_ms = int(text)
        if timestamp_ms <= MAX_TIMESTAMP_MS:
            return timestamp_ms
    raise BadInteraction(f"timestamp must be epoch milliseconds, a whole number of 0 or above, not {_quoted(text)}")


def _shortest(strength: float) -> str:
    text = repr(strength)
    return text.removesuffix(".0")


def _quoted(text: str) -> str:
    """Return text for a message: cut short, control characters escaped."""
    return repr(text if len(text) <= 40 else text[:40] + "…")
