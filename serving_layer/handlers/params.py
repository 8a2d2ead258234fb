"""Arguments in the query."""

import re
from http import HTTPStatus
from typing import NamedTuple

from aiohttp import web

from serving_layer.problems import Problem, quoted

__all__ = ["MAX_RESULTS", "Page", "flag", "offsets_to_wait_for", "page", "recall"]

MAX_RESULTS = 100_000
"""Largest ``howMany``, ``offset`` and sum of both."""
_MAX_OFFSETS = 4096
"""Entries of ``after``; a topic may have some thousands of partitions."""
_DIGITS = re.compile(r"[0-9]{1,7}")
_OFFSET = re.compile(r"([0-9]{1,7}):([0-9]{1,18})")


class Page(NamedTuple):
    """Which part of a ranking is asked for."""

    how_many: int
    offset: int

    @property
    def want(self) -> int:
        """How much of the ranking has to be known."""
        return self.offset + self.how_many


def page(request: web.Request) -> Page:
    """Read ``howMany`` and ``offset``.

    Raises:
        Problem: 400.
    """
    how_many, offset = _whole(request, "howMany", 10), _whole(request, "offset", 0)
    if how_many < 1:
        raise Problem(HTTPStatus.BAD_REQUEST, "howMany must be above 0")
    if how_many + offset > MAX_RESULTS:
        raise Problem(HTTPStatus.BAD_REQUEST, f"howMany and offset must not exceed {MAX_RESULTS} together")
    return Page(how_many, offset)


def flag(request: web.Request, name: str, default: bool) -> bool:
    """Read ``true`` or ``false``.

    Raises:
        Problem: 400.
    """
    text = _single(request, name)
    if text is None:
        return default
    if text.lower() not in {"true", "false"}:
        raise Problem(HTTPStatus.BAD_REQUEST, f"{name} must be true or false, not {quoted(text)}")
    return text.lower() == "true"


def recall(request: web.Request) -> None:
    """Check ``recall``: ``exact`` is what every answer is.

    Raises:
        Problem: 400.
    """
    text = _single(request, "recall")
    if text not in {None, "exact"}:
        raise Problem(HTTPStatus.BAD_REQUEST, f"recall must be exact or left out, not {quoted(text or '')}")


def offsets_to_wait_for(request: web.Request) -> dict[int, int]:
    """Read ``after=partition:offset,…``, of several the highest a partition; empty where there is nothing to wait for.

    Raises:
        Problem: 400.
    """
    if "after" not in request.rel_url.raw_query_string:
        return {}
    entries = [entry for text in request.query.getall("after", ()) for entry in text.split(",") if entry]
    if len(entries) > _MAX_OFFSETS:
        raise Problem(HTTPStatus.BAD_REQUEST, f"after has {len(entries)} entries, more than {_MAX_OFFSETS}")
    offsets: dict[int, int] = {}
    for entry in entries:
        match = _OFFSET.fullmatch(entry)
        if match is None:
            raise Problem(HTTPStatus.BAD_REQUEST, f"after must be partition:offset,…, not {quoted(entry)}")
        partition, offset = int(match[1]), int(match[2])
        offsets[partition] = max(offset, offsets.get(partition, 0))
    return offsets


def _whole(request: web.Request, name: str, default: int) -> int:
    text = _single(request, name)
    if text is None:
        return default
    if not _DIGITS.fullmatch(text) or int(text) > MAX_RESULTS:
        raise Problem(
            HTTPStatus.BAD_REQUEST, f"{name} must be a whole number, at most {MAX_RESULTS}, not {quoted(text)}"
        )
    return int(text)


def _single(request: web.Request, name: str) -> str | None:
    values = request.query.getall(name, ())
    if len(values) > 1:
        raise Problem(HTTPStatus.BAD_REQUEST, f"{name} is there {len(values)} times")
    return values[0] if values else None
