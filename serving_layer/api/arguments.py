"""What an endpoint takes in its path and query: one declaration each, for parsing, validation and documentation.

A parameter of a handler is annotated with one of the types here, whose metadata is the declaration.
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal, NamedTuple

from oryx_py.events.ids import MAX_ID_BYTES
from serving_layer.api import parsing
from serving_layer.api.parameter import Group, Parameter, Place

__all__ = [
    "HOW_MANY",
    "ID_SCHEMA",
    "OFFSET",
    "After",
    "ConsiderKnownItems",
    "Context",
    "Given",
    "Item",
    "Items",
    "Paging",
    "Recall",
    "RescorerParams",
    "StrengthItem",
    "ToItem",
    "User",
    "Users",
]


class StrengthItem(NamedTuple):
    """An item with the strength that a path gives it."""

    item: str
    strength: float


_TEXT: Final = {"type": "string", "minLength": 1, "pattern": r"^[^\u0000-\u001f\u007f-\u009f]+$"}
ID_SCHEMA: Final = {
    **_TEXT,
    "maxLength": MAX_ID_BYTES,
    "format": "oryx-id",
    "description": "1 to 1,024 bytes of UTF-8 without control characters, compared bytewise. A slash in it is `%2F`.",
}


def _one(name: str, about: str, example: str) -> Parameter:
    return Parameter(
        name, Place.SEGMENT, lambda texts: parsing.id_of(texts[0], name), ID_SCHEMA, about, {"plain": example}
    )


def _given(what: str, *, optional: bool) -> Parameter:
    return Parameter(
        "items",
        Place.REST,
        lambda texts: [StrengthItem(*parsing.item_and_strength(text)) for text in texts if text or not optional],
        _TEXT | {"format": "oryx-given"},
        f"{what}, a segment of the path each, with a strength or without (then 1): `I1/I7=2.5`. The last unescaped `=` "
        "parts them where a finite number follows; `%3D` belongs to the ID.",
        {"one": "I7", "with a strength": "I7=2.5"},
        optional=optional,
    )


_COUNT: Final = {"type": "integer", "maximum": parsing.MAX_RESULTS}

User = Annotated[str, _one("user", "The user's ID.", "ann")]
Item = Annotated[str, _one("item", "The item's ID.", "I7")]
ToItem = Annotated[str, _one("toItem", "The ID of the item in question.", "I7")]
Users = Annotated[
    list[str],
    Parameter(
        "users",
        Place.REST,
        lambda texts: [parsing.id_of(text, "user") for text in texts],
        _TEXT | {"format": "oryx-users"},
        "One or more users' IDs, a segment of the path each: `ann/bob`.",
        {"one": "ann"},
    ),
]
Items = Annotated[
    list[str],
    Parameter(
        "items",
        Place.REST,
        lambda texts: [parsing.id_of(text, "item") for text in texts],
        _TEXT | {"format": "oryx-items"},
        "One or more items' IDs, a segment of the path each: `I1/I7`.",
        {"one": "I7"},
    ),
]
Given = Annotated[list[StrengthItem], _given("One or more items", optional=False)]
Context = Annotated[list[StrengthItem], _given("Items", optional=True)]
HOW_MANY: Final = Parameter(
    "howMany",
    Place.QUERY,
    lambda texts: parsing.whole("howMany", texts, least=1),
    _COUNT | {"minimum": 1},
    f"How many rows to answer; with `offset` at most {parsing.MAX_RESULTS}. There may be fewer.",
)
OFFSET: Final = Parameter(
    "offset",
    Place.QUERY,
    lambda texts: parsing.whole("offset", texts, least=0),
    _COUNT | {"minimum": 0},
    "How many rows to pass over.",
)
Paging = Annotated[parsing.Page, Group((HOW_MANY, OFFSET), (10, 0), parsing.page)]
ConsiderKnownItems = Annotated[
    bool,
    Parameter(
        "considerKnownItems",
        Place.QUERY,
        lambda texts: parsing.flag("considerKnownItems", texts),
        {"type": "boolean"},
        "Whether items that the user knows may be answered, too.",
    ),
]
RescorerParams = Annotated[
    tuple[str, ...],
    Parameter(
        "rescorerParams",
        Place.QUERY,
        parsing.texts,
        {"type": "string", "maxLength": parsing.MAX_TEXT},
        "Passed to the rescorer plug-in, where the service has one.",
        most=parsing.MAX_TIMES,
    ),
]
Recall = Annotated[
    Literal["exact"] | None,
    Parameter(
        "recall",
        Place.QUERY,
        lambda texts: parsing.choice("recall", texts, ("exact",)),
        {"type": "string", "enum": ["exact"]},
        "`exact`: look at every item, whatever index the service has.",
    ),
]
After = Annotated[
    Mapping[int, int],
    Parameter(
        "after",
        Place.QUERY,
        parsing.offsets,
        {"type": "string", "minLength": 3, "format": "oryx-offsets", "pattern": parsing.OFFSETS_PATTERN},
        "`partition:offset,…`, as a write's `X-Oryx-Offset` has it, such as `0:41,1:39`: wait until what is served "
        "includes that. 504 when it does not in time, 429 when too many reads wait already, 501 where the service "
        "cannot tell.",
        most=parsing.MAX_TIMES,
    ),
]
