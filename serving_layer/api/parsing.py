"""From the text of an argument to its value, or a refusal that names it. Pure."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final, NamedTuple, TypeVar

from serving_layer.api.path_segments import id_of, item_and_strength
from serving_layer.http_semantics.problems import Problem, quoted

__all__ = [
    "MAX_RESULTS",
    "MAX_TEXT",
    "MAX_TIMES",
    "OFFSETS_PATTERN",
    "Page",
    "choice",
    "flag",
    "id_of",
    "item_and_strength",
    "offsets",
    "page",
    "texts",
    "whole",
]

T = TypeVar("T", bound=str)

MAX_RESULTS: Final = 100_000
"""Largest ``howMany``, ``offset`` and sum of both."""
MAX_TEXT: Final = 1024
"""Characters of a free text: encoded, a line of a request takes it, whatever they are."""
MAX_TIMES: Final = 128
"""How often a query may have what it may have several times."""
OFFSETS_PATTERN: Final = r"^[0-9]{1,7}:[0-9]{1,18}(,[0-9]{1,7}:[0-9]{1,18})*$"
_DIGITS: Final = re.compile(r"[0-9]{1,7}")
_OFFSET: Final = re.compile(r"([0-9]{1,7}):([0-9]{1,18})")


class Page(NamedTuple):
    """Which part of a ranking is asked for."""

    how_many: int
    offset: int

    @property
    def want(self) -> int:
        """How much of the ranking has to be known."""
        return self.offset + self.how_many


def page(how_many: int, offset: int) -> Page:
    """Put both together.

    Raises:
        Problem: 400, they are too large together.
    """
    if how_many + offset > MAX_RESULTS:
        raise _bad(f"howMany and offset must not exceed {MAX_RESULTS} together")
    return Page(how_many, offset)


def whole(name: str, values: Sequence[str], *, least: int) -> int:
    """Read a whole number between ``least`` and `MAX_RESULTS`.

    Raises:
        Problem: 400.
    """
    text = _single(name, values)
    if not _DIGITS.fullmatch(text) or not least <= int(text) <= MAX_RESULTS:
        raise _bad(f"{name} must be a whole number, {least} to {MAX_RESULTS}, not {quoted(text)}")
    return int(text)


def flag(name: str, values: Sequence[str]) -> bool:
    """Read ``true`` or ``false``, in any case.

    Raises:
        Problem: 400.
    """
    text = _single(name, values)
    if text.lower() not in {"true", "false"}:
        raise _bad(f"{name} must be true or false, not {quoted(text)}")
    return text.lower() == "true"


def choice(name: str, values: Sequence[str], choices: Sequence[T]) -> T:
    """Read one of several words.

    Raises:
        Problem: 400.
    """
    text = _single(name, values)
    for known in choices:
        if text == known:
            return known
    raise _bad(f"{name} must be {' or '.join(choices)} or left out, not {quoted(text)}")


def texts(values: Sequence[str]) -> tuple[str, ...]:
    """Read free texts.

    Raises:
        Problem: 400, there are too many, or one is too long.
    """
    if len(values) > MAX_TIMES or any(len(value) > MAX_TEXT for value in values):
        raise _bad(f"rescorerParams: at most {MAX_TIMES} of at most {MAX_TEXT} characters")
    return tuple(values)


def offsets(values: Sequence[str]) -> dict[int, int]:
    """Read ``partition:offset,…``, of several the highest a partition.

    Raises:
        Problem: 400.
    """
    if len(values) > MAX_TIMES:
        raise _bad(f"after is there {len(values)} times, at most {MAX_TIMES} are allowed")
    # As many as the line of a request holds: some thousands.
    entries = [entry for text in values for entry in text.split(",")]
    found: dict[int, int] = {}
    for entry in entries:
        match = _OFFSET.fullmatch(entry)
        if match is None:
            raise _bad(f"after must be partition:offset,…, not {quoted(entry)}")
        partition, offset = int(match[1]), int(match[2])
        found[partition] = max(offset, found.get(partition, 0))
    return found


def _single(name: str, values: Sequence[str]) -> str:
    if len(values) > 1:
        raise _bad(f"{name} is there {len(values)} times")
    return values[0]


def _bad(detail: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, detail)
