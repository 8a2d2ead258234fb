"""Whether text that is no interaction has an ID in it, in whatever form somebody meant it. Pure.

Who cannot say what a record means cannot say whom it is of either: separators, quotes, order and number of fields may
be any. So the ID is looked for everywhere, between characters that no ID goes on with. It may be found where it means
nothing; it is not missed.
"""

import re
import unicodedata
from collections.abc import Iterator

__all__ = ["has_bytes", "may_have_bytes"]

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_CONTROLS = "bfnrt"
"""Letters that stand for control characters after a backslash; no ID has any of these."""


def may_have_bytes(value: bytes | None, wanted: str) -> bool:
    """Say no only where `has_bytes` would; in much less time."""
    if value is None:
        return False
    if wanted.encode() in value or b"\\" in value or b"\0" in value or ('"' in wanted and b'"' in value):
        return True
    return not wanted.isascii() and wanted.encode("latin-1", "replace") in value


def has_bytes(value: bytes | None, wanted: str) -> bool:
    """Say whether an ID is anywhere in a value: as it is, with JSON's escapes, doubled quotes, in another encoding.

    It has to stand by itself: no letter or digit goes on where the ID begins or ends with one. Of an ID of digits alone
    no digit does.
    """
    return may_have_bytes(value, wanted) and any(_stands_in(text, wanted) for text in _texts(value or b""))


def _texts(value: bytes) -> Iterator[str]:
    for plain in _decoded(value):
        yield plain
        if "\\" in plain:
            # Halves of characters beyond 16 bits are escaped one by one.
            halves = _ESCAPE.sub(_unescaped, plain).encode("utf-16", "surrogatepass")
            yield halves.decode("utf-16", "replace")
        if '""' in plain:
            yield plain.replace('""', '"')


def _decoded(value: bytes) -> Iterator[str]:
    yield value.decode(errors="replace")
    try:
        value.decode()
    except UnicodeDecodeError:
        yield value.decode("latin-1")
    if b"\0" in value:
        yield value.decode("utf-16-le", "replace")
        yield value.decode("utf-16-be", "replace")


def _unescaped(match: re.Match[str]) -> str:
    code, letter = match.groups()
    if code is not None:
        return chr(int(code, 16))
    return " " if letter in _CONTROLS else str(letter)


def _stands_in(text: str, wanted: str) -> bool:
    at = text.find(wanted)
    while at >= 0:
        end = at + len(wanted)
        if not _goes_on(text[at - 1 : at], wanted[0], wanted) and not _goes_on(text[end : end + 1], wanted[-1], wanted):
            return True
        at = text.find(wanted, at + 1)
    return False


def _goes_on(neighbour: str, edge: str, wanted: str) -> bool:
    """Whether a character, or none, beside the edge of what was found makes another ID of it."""
    if wanted.isascii() and wanted.isdigit():
        return neighbour.isdecimal()
    return _in_a_word(neighbour) and _in_a_word(edge)


def _in_a_word(character: str) -> bool:
    return character.isalnum() or (character != "" and unicodedata.category(character).startswith("M"))
