"""Which form an answer takes, by ``Accept`` (RFC 9110, section 12.5.1)."""

from functools import lru_cache
from http import HTTPStatus
from typing import Literal, NamedTuple, TypeAlias

from aiohttp import hdrs
from multidict import CIMultiDictProxy

from serving_layer.http_semantics.problems import Problem, quoted

__all__ = ["Form", "Kind", "form", "form_of"]

Kind: TypeAlias = Literal["json", "csv"]

_TYPES: dict[str, Kind] = {"application/json": "json", "text/csv": "csv", "text/plain": "csv"}
_CACHED = 256


class Form(NamedTuple):
    """How an answer is written; ``media_type`` goes into ``Content-Type``."""

    kind: Kind
    media_type: str

    @property
    def is_json(self) -> bool:
        """Whether it is JSON; else it is CSV."""
        return self.kind == "json"


class _Range(NamedTuple):
    """One element of ``Accept``: its pattern, weight, and how specific it is."""

    main: str
    sub: str
    q: float
    specific: int

    def matches(self, media_type: str) -> bool:
        main, _, sub = media_type.partition("/")
        return self.main in {"*", main} and self.sub in {"*", sub}


def form(headers: CIMultiDictProxy[str], default: Kind) -> Form:
    """Choose the form of an answer to a request with these headers.

    Raises:
        Problem: 406, there is none that the client takes.
    """
    chosen = form_of(headers, default)
    if chosen is None:
        accept = _accept(headers)
        raise Problem(
            HTTPStatus.NOT_ACCEPTABLE,
            f"answers are application/json or text/csv, and Accept is {quoted(accept)}",
        )
    return chosen


def form_of(headers: CIMultiDictProxy[str], default: Kind) -> Form | None:
    """Choose as `form` does; None where there is none that the client takes."""
    return _choose(_accept(headers), default)


def _accept(headers: CIMultiDictProxy[str]) -> str:
    return ",".join(headers.getall(hdrs.ACCEPT, ()))


@lru_cache(_CACHED)
def _choose(accept: str, default: Kind) -> Form | None:
    """Return the form with the highest weight; of equal ones that named most precisely, then first, then by default."""
    ranges = _ranges(accept)
    if not ranges:
        return _written(next(name for name, kind in _TYPES.items() if kind == default))
    best: tuple[tuple[float, int, int, bool], str] | None = None
    for media_type, kind in _TYPES.items():
        matching = [(range_.specific, at) for at, range_ in enumerate(ranges) if range_.matches(media_type)]
        if not matching:
            continue
        specific, at = max(matching, key=lambda match: (match[0], -match[1]))
        rank = (ranges[at].q, specific, -at, kind == default)
        if ranges[at].q > 0 and (best is None or rank > best[0]):
            best = (rank, media_type)
    return None if best is None else _written(best[1])


def _written(media_type: str) -> Form:
    kind = _TYPES[media_type]
    return Form(kind, media_type if kind == "json" else f"{media_type}; charset=utf-8")


def _ranges(accept: str) -> list[_Range]:
    found = []
    for element in accept.split(","):
        pattern, *parameters = (part.strip().lower() for part in element.split(";"))
        main, slash, sub = pattern.partition("/")
        q = _weight(parameters)
        if slash and q is not None:
            found.append(_Range(main, sub, q, (main != "*") + (sub != "*")))
        elif pattern:
            found.append(_Range("", "", 0.0, 0))  # unreadable: it matches nothing
    return found


def _weight(parameters: list[str]) -> float | None:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                q = float(parameter[2:])
            except ValueError:
                return None
            return q if 0 <= q <= 1 else None
    return 1.0
