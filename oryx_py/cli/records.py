"""A record of a topic as text for people. Pure."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from oryx_py.cli.choices import Topic
from oryx_py.cli.visible import offsets, shortened, visible
from oryx_py.errors import BadInteraction, BadMessage
from oryx_py.events import Action, Interaction, parse_value
from oryx_py.messages import ItemGone, ItemVector, ModelRef, Progress, Update, UserGone, UserVector, decode
from oryx_py.ports import Record

__all__ = ["raw", "readable"]

_VALUE_CHARACTERS: Final = 200
_LISTED: Final = 5


def readable(topic: Topic, record: Record) -> str:
    """Return one line: place and time, what the record says, its key where that adds something, its headers."""
    when = f"{datetime.fromtimestamp(record.timestamp_ms / 1000, UTC):%H:%M:%S.%f}"[:-3]
    place = f"{record.partition}:{record.offset}"
    return f"{place:<12} {when if record.timestamp_ms >= 0 else '-':<12} {_SAID[topic](record)}"


def raw(record: Record) -> bytes:
    """Return key, tab, headers, tab, value, byte by byte as they are, as Kafka's own console consumer prints them."""
    headers = b",".join(name.encode() + b":" + value for name, value in record.headers)
    return b"\t".join((_raw(record.key), headers or b"NO_HEADERS", _raw(record.value)))


def _input(record: Record) -> str:
    headers = _headers(record)
    try:
        interaction = parse_value(record.value)
    except BadInteraction as bad:
        return f"unreadable ({visible(bad.reason)}): {_value(record)}{_key(record, None)}{headers}"
    return f"{_interaction(interaction)}{_key(record, interaction.user)}{headers}"


def _interaction(said: Interaction) -> str:
    user, item = visible(said.user), visible(said.item)
    match said.action:
        case Action.FORGET_USER:
            text = f"forget user {user}"
        case Action.FORGET_ITEM:
            text = f"forget item {item}"
        case Action.DELETE:
            text = f"{user} × {item}  deleted"
        case Action.ADD:
            text = f"{user} → {item}  {said.strength:g}"
    kind = f"  {visible(said.kind)}" if said.kind else ""
    when = "" if said.timestamp_ms is None else f"  at {_time(said.timestamp_ms)}"
    return text + kind + when


def _update(record: Record) -> str:
    try:
        update = decode(record.key, record.value, record.headers)
    except BadMessage as bad:
        return f"unreadable ({visible(bad.reason)}): {_value(record)}{_key(record, None)}{_headers(record)}"
    return _described(update)


def _described(update: Update) -> str:
    match update:
        case UserVector():
            vector = "no vector" if update.vector is None else shortened(update.vector.tolist())
            text = f"UP X   user {visible(update.user)}  {vector}{_items(update.items, update.strengths)}"
            return text + _numbers(epoch=update.epoch, input=update.input)
        case ItemVector():
            vector = "no vector" if update.vector is None else shortened(update.vector.tolist())
            text = f"UP Y   item {visible(update.item)}  {vector}"
            return text + _numbers(epoch=update.epoch, item_input=update.item_input)
        case UserGone():
            what = "forgotten" if update.items is None else "no longer knows " + _listed(update.items)
            return f"UP XD  user {visible(update.user)}  {what}" + _numbers(epoch=update.epoch, input=update.input)
        case ItemGone():
            numbers = _numbers(epoch=update.epoch, item_input=update.item_input)
            return f"UP YD  item {visible(update.item)}  forgotten{numbers}"
        case Progress():
            waiting = [partition for partition in update.input if not update.live.get(partition)]
            live = "live" if not waiting else "not live in " + " ".join(map(str, sorted(waiting)))
            return f"PROGRESS  {offsets(update.input)}  {live}" + _numbers(epoch=update.epoch)
        case ModelRef():
            text = f"MODEL-REF  {visible(update.generation)}  {visible(update.uri)}  from {offsets(update.start)}"
            return text + _numbers(epoch=update.epoch)


def _dead_letter(record: Record) -> str:
    headers = dict(record.headers)
    reason = visible(headers.pop("reason", b"no reason given"))
    others = "".join(f"  {visible(name)}={visible(value, 80)}" for name, value in headers.items())
    return f"input {visible(record.key or b'?')}  {reason}: {_value(record)}{others}"


def _item_state(record: Record) -> str:
    """An item's state, which the wire protocol has as JSON; anything else is shown as it is."""
    try:
        item, user = json.loads(record.key or b"")
        state = json.loads(record.value or b"")
        gone = state["w"] is None
        said = "gone" if gone else f"w={state['w']:g} t={state['t']:g} x={shortened(state['x'])}"
        numbers = _numbers(epoch=state["epoch"], input=state["input"])
        return f"{visible(str(item))} ← {visible(str(user))}  {said}{numbers}"
    except (ValueError, TypeError, KeyError, RecursionError):
        return f"{_value(record)}{_key(record, None)}{_headers(record)}"


_SAID: Final[Mapping[Topic, Callable[[Record], str]]] = {
    "input": _input,
    "update": _update,
    "dead-letter": _dead_letter,
    "items": _item_state,
}


def _items(items: tuple[str, ...], strengths: tuple[float, ...]) -> str:
    shown = [f"{visible(item)}={strength:g}" for item, strength in zip(items, strengths, strict=True)]
    return "  " + _listed(shown) if shown else ""


def _listed(texts: tuple[str, ...] | list[str]) -> str:
    more = f" … {len(texts)} items" if len(texts) > _LISTED else ""
    return " ".join(map(visible, texts[:_LISTED])) + more


def _numbers(**numbers: int | None) -> str:
    return "".join(f"  {name.replace('_', '-')}={number}" for name, number in numbers.items() if number is not None)


def _key(record: Record, expected: str | None) -> str:
    """The key, where it is not what the value says anyhow."""
    if expected is not None and record.key == expected.encode():
        return ""
    return "  no key" if record.key is None else f"  key={visible(record.key, 80)}"


def _headers(record: Record) -> str:
    return "".join(f"  {visible(name)}={visible(value, 80)}" for name, value in record.headers)


def _value(record: Record) -> str:
    return "no value" if record.value is None else visible(record.value, _VALUE_CHARACTERS)


def _time(milliseconds: int) -> str:
    try:
        return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError, OSError):  # beyond the year 9999
        return f"{milliseconds} ms"


def _raw(data: bytes | None) -> bytes:
    return b"null" if data is None else data
