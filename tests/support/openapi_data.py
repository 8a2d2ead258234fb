"""Data for the formats that the OpenAPI document names: what it cannot say in JSON Schema."""

import csv
import io
import json

import schemathesis
from hypothesis import strategies as st

from tests.support.serving import INPUT_PARTITIONS

__all__ = ["COVERED", "ITEMS", "LONG", "USERS", "as_segments", "register"]

LONG = "l" + "ö" * 511 + "g"
ITEMS = ["a/b", 'ü,"x"', "%2F", "a b", LONG, "x=2.5", "I7", "+", "日本", "?#&"]
USERS = ["ann/ä", 'bob,"b"', "%2F", "b c", LONG, "u;1"]
COVERED = {0: 10, 1: 20}
"""By input partition: the offset below which everything is in the world's generation."""

# Clients encode a path parameter as a whole, so what parts the IDs of several, and an ID from its strength, has to be
# told from what is in them: by characters that stand for these until the request is sent.
_SLASH, _EQUALS = "\ue000", "\ue001"
_ENCODED = {"%EE%80%80": "/", "%EE%80%81": "="}


def as_segments(path: str) -> str:
    """Put the slashes and equal signs into an encoded path parameter."""
    for stands, meant in _ENCODED.items():
        path = path.replace(stands, meant)
    return path


def register() -> None:
    """Make the formats known to schemathesis."""
    for name, strategy in _formats().items():
        schemathesis.openapi.format(name, strategy)


def _formats() -> dict[str, st.SearchStrategy[str]]:
    texts = st.text(
        st.characters(exclude_categories=["Cc", "Cs"], exclude_characters=_SLASH + _EQUALS), min_size=1, max_size=40
    ).filter(lambda text: text not in {".", ".."})  # which clients take for folders
    ids = st.one_of(st.sampled_from(sorted({*ITEMS, *USERS})), texts)
    strengths = st.one_of(
        st.integers(-1000, 1000).map(str),
        st.floats(-1e6, 1e6, allow_nan=False).map(repr),
    )
    given = st.builds(
        lambda name, strength: name if strength is None else f"{name}{_EQUALS}{strength}",
        st.sampled_from(ITEMS),
        st.one_of(st.none(), strengths),
    )
    return {
        "oryx-id": ids,
        "oryx-users": _several(st.sampled_from(USERS)),
        "oryx-items": _several(ids),
        "oryx-given": _several(given),
        "oryx-offsets": st.sets(st.integers(0, INPUT_PARTITIONS - 1), min_size=1).map(
            lambda partitions: ",".join(f"{p}:{COVERED[p] - 1}" for p in sorted(partitions))
        ),
        "oryx-strength": st.one_of(st.just(""), strengths, strengths.map(lambda text: f" {text} \nmore")),
        "oryx-lines": st.lists(_line(ids, strengths), max_size=5).map("".join),
        "oryx-ndjson": st.lists(_object(ids), max_size=5).map("".join),
    }


def _several(ids: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(ids, min_size=1, max_size=4).map(_SLASH.join)


@st.composite
def _line(draw: st.DrawFn, ids: st.SearchStrategy[str], strengths: st.SearchStrategy[str]) -> str:
    fields = [draw(ids), draw(ids)]
    for more in (st.one_of(st.just(""), strengths), st.integers(0, 2**41).map(str), st.sampled_from(["view", "buy"])):
        if draw(st.booleans()):
            break
        fields.append(draw(more))
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(fields)
    return line.getvalue()


@st.composite
def _object(draw: st.DrawFn, ids: st.SearchStrategy[str]) -> str:
    optional = {"strength": st.one_of(st.none(), st.floats(-1e6, 1e6)), "timestamp": st.integers(0, 2**41)}
    found = draw(st.fixed_dictionaries({"user": ids, "item": ids}, optional=optional))
    return json.dumps(found, ensure_ascii=draw(st.booleans())) + "\n"


@schemathesis.serializer("application/x-ndjson")
def _ndjson(context: object, value: object) -> bytes:
    """Write what was drawn as text, or instead of it."""
    return (value if isinstance(value, str) else json.dumps(value)).encode()
