"""IDs and strengths as they stand in a path, interactions as they stand in a body."""

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final, TypeAlias
from urllib.parse import quote

from oryx_py.client.values import Items
from oryx_py.errors import BadInteraction, UserError
from oryx_py.events import Interaction, check_id, encode_csv, parse_object

__all__ = ["MAX_BULK_LINES", "Line", "bulk_of", "ids_of", "items_of", "lines_of", "number_of", "segment_of"]

MAX_BULK_LINES: Final = 200_000
"""Of one call: what a busy service stores within a part of the usual deadline."""

Line: TypeAlias = str | bytes | Mapping[str, object] | Interaction
"""An interaction: a CSV line (``user,item,strength,…``), an object of `/ingest`, or one of our own."""


def segment_of(name: str, what: str) -> str:
    """Return an ID as a segment of a path, percent-encoded whole: ``/``, ``%`` and ``=`` too.

    Raises:
        UserError: it is no ID.
    """
    try:
        segment = quote(check_id(name, what), safe="")
    except BadInteraction as error:
        raise UserError(error.reason) from None
    # Whatever is on the way would take . and .. for steps in the path.
    return segment.replace(".", "%2E") if segment in {".", ".."} else segment


def ids_of(names: str | Iterable[str], what: str) -> list[str]:
    """Return the segments of one ID or several.

    Raises:
        UserError: one is no ID, or there is none.
    """
    segments = [segment_of(name, what) for name in ([names] if isinstance(names, str) else names)]
    if not segments:
        raise UserError(f"no {what} is given")
    return segments


def items_of(items: Items) -> list[str]:
    """Return the segments ``item`` and ``item=strength``.

    Raises:
        UserError: one is no ID, or a strength is not finite.
    """
    if isinstance(items, str):
        items = [items]
    pairs = items.items() if isinstance(items, Mapping) else items
    return [
        segment_of(pair, "item") if isinstance(pair, str) else f"{segment_of(pair[0], 'item')}={number_of(pair[1])}"
        for pair in pairs
    ]


def number_of(strength: float) -> str:
    """Return a strength in the shortest form that reads as the same.

    Raises:
        UserError: it is not finite.
    """
    if not math.isfinite(strength):
        raise UserError(f"strength must be a finite number, not {strength}")
    return repr(float(strength)).removesuffix(".0")


def lines_of(interactions: Line | Iterable[Line]) -> Iterator[bytes]:
    """Yield the CSV lines of one interaction or many, without line breaks.

    A line of text is left for the service to check; what is an object has to be right.

    Raises:
        UserError: an object is no interaction, or a line is several; the message has its number, from 1.
    """
    if isinstance(interactions, (str, bytes, Mapping, Interaction)):
        interactions = [interactions]
    for number, one in enumerate(interactions, 1):
        try:
            line = _line_of(one)
        except BadInteraction as error:
            raise UserError(f"interaction {number}: {error.reason}") from None
        except UnicodeEncodeError:
            raise UserError(f"interaction {number}: has half of a surrogate pair, which is no character") from None
        if b"\n" in line:
            raise UserError(f"interaction {number}: a line has no line break")
        yield line


def bulk_of(interactions: Line | Iterable[Line]) -> list[bytes]:
    """Return the lines of one call, as `lines_of` does.

    Raises:
        UserError: as from `lines_of`; or they are more than one call can bring through in its time.
    """
    lines = list(islice(lines_of(interactions), MAX_BULK_LINES + 1))
    if len(lines) > MAX_BULK_LINES:
        raise UserError(
            f"these are too many interactions for one call, which has to be answered in time: send at most "
            f"{MAX_BULK_LINES} at once, each part with a key of its own, or a file by `oryx ingest`"
        )
    return lines


def _line_of(one: Line) -> bytes:
    match one:
        case bytes():
            return one
        case str():
            return one.encode()
        case Interaction():
            return encode_csv(one)
        case _:
            return encode_csv(parse_object(one))
