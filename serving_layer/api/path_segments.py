"""IDs in paths, read from the bytes that were sent: a decoded path no longer tells ``/`` from ``%2F``. Pure."""

import math
import re
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

from oryx_py.errors import BadInteraction
from oryx_py.events import check_id
from serving_layer.http_semantics.problems import Problem, quoted

__all__ = ["id_of", "item_and_strength", "segments"]

_MALFORMED = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def segments(raw_path: str, passed_over: int) -> list[str]:
    """Return the still-escaped segments of a request's target, without the first ``passed_over``."""
    path = raw_path.partition("?")[0].partition("#")[0]
    if not path.startswith("/"):  # the absolute form, as to a proxy
        path = path.partition("://")[2]
    return path.split("/")[passed_over + 1 :]


def id_of(segment: str, what: str) -> str:
    """Decode one segment to an ID.

    Args:
        segment: still escaped.
        what: what it names, for the message: ``user``, ``item``.

    Raises:
        Problem: 400, it is no UTF-8, or breaks the rule for IDs.
    """
    try:
        return check_id(_decoded(segment, what) if "%" in segment else segment, what)
    except BadInteraction as error:
        raise Problem(HTTPStatus.BAD_REQUEST, error.reason) from None


def item_and_strength(segment: str) -> tuple[str, float]:
    """Decode ``item`` or ``item=strength``.

    The last unescaped ``=`` parts them if a finite number follows; else it belongs to the ID. Without, the strength
    is 1.

    Raises:
        Problem: 400, as `id_of`.
    """
    name, equals, text = segment.rpartition("=")
    if equals:
        number = _decoded(text, "strength") if "%" in text else text
        if _NUMBER.fullmatch(number) and math.isfinite(float(number)):
            return id_of(name, "item"), float(number)
    return id_of(segment, "item"), 1.0


def _decoded(segment: str, what: str) -> str:
    if malformed := _MALFORMED.search(segment):
        at = malformed.start()
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            f"{what} has {quoted(segment[at : at + 3])}, which is no percent-encoding: write % as %25",
        )
    try:
        return unquote_to_bytes(segment).decode()
    except UnicodeError:
        raise Problem(HTTPStatus.BAD_REQUEST, f"{what} is not UTF-8: {quoted(segment)}") from None
