"""The interactions of a bulk body, one after the other, so that no more than one is in memory. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from oryx_py.errors import BadInteraction
from oryx_py.events import Action, Interaction, parse_object, parse_value

__all__ = ["BulkForm", "Line", "lines_of"]

BulkForm: TypeAlias = Literal["lines", "ndjson", "array"]
"""CSV lines (or JSON arrays of the same fields), a JSON object a line, or one JSON array of objects."""

_BOM = b"\xef\xbb\xbf"
# A flat object: possessive throughout, so that no body can make it backtrack, and without recursion.
_OBJECT = re.compile(rb'[ \t\r\n]*+(\{(?:[^{}\[\]"]++|"(?:[^"\\]++|\\.)*+")*+\})[ \t\r\n]*+', re.DOTALL)
_SPACE = re.compile(rb"[ \t\r\n]*+")


class Line(NamedTuple):
    """A line, or an object of an array, by its number from 1, and what it says or why it cannot be read."""

    number: int
    content: Interaction | BadInteraction


def lines_of(body: bytes, form: BulkForm) -> Iterator[Line]:
    """Read a body; blank lines are passed over, but counted.

    Where the frame of a JSON array is broken, the line that says so is the last one.
    """
    if form == "array":
        yield from _elements(body)
        return
    read = parse_value if form == "lines" else _parse_json_line
    at, number = len(_BOM) if body.startswith(_BOM) else 0, 0
    while at < len(body):
        end = body.find(b"\n", at)
        end = len(body) if end < 0 else end
        line, at, number = body[at:end].strip(b"\r"), end + 1, number + 1
        if line.strip():
            try:
                yield Line(number, _pair(read(line)))
            except BadInteraction as error:
                yield Line(number, error)


def _elements(body: bytes) -> Iterator[Line]:
    at = _after_space(body, len(_BOM) if body.startswith(_BOM) else 0)
    if body[at : at + 1] != b"[":
        yield Line(1, BadInteraction("the body is not a JSON array of objects"))
        return
    at, number = _after_space(body, at + 1), 1
    if body[at : at + 1] == b"]":
        at += 1
    else:
        while True:
            match = _OBJECT.match(body, at)
            if match is None:
                yield Line(number, BadInteraction("not a flat JSON object"))
                return
            try:
                yield Line(number, _pair(_parse_json_line(match[1])))
            except BadInteraction as error:
                yield Line(number, error)
            at, number = match.end() + 1, number + 1
            follows = body[at - 1 : at]
            if follows == b"]":
                break
            if follows != b",":
                yield Line(number, BadInteraction("the JSON array is not closed: , or ] is missing"))
                return
    if _after_space(body, at) < len(body):
        yield Line(number, BadInteraction("something follows the JSON array"))


def _after_space(body: bytes, at: int) -> int:
    match = _SPACE.match(body, at)
    return match.end() if match else at


def _parse_json_line(line: bytes) -> Interaction:
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInteraction(f"not JSON: {error}") from None
    if isinstance(value, list):
        return parse_value(line.strip())
    if not isinstance(value, Mapping):
        raise BadInteraction("not a JSON object")
    return parse_object(value)


def _pair(interaction: Interaction) -> Interaction:
    """Refuse what forgets a whole user or item, which a stray comma must not do."""
    if interaction.action in {Action.FORGET_USER, Action.FORGET_ITEM}:
        raise BadInteraction(f"{'item' if interaction.user else 'user'} is empty")
    return interaction
