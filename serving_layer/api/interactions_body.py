"""How a body of interactions is documented; `oryx_py.events` reads them."""

from typing import Any, Final

from oryx_py.events.codec import MAX_STRENGTH, MAX_TIMESTAMP_MS
from serving_layer.api.arguments import ID_SCHEMA
from serving_layer.api.operation import Body

__all__ = ["INTERACTIONS"]

_LINES: Final = "ann,I7\nann,I8,2.5\nbob,I7,,1700000000000\n"
_LINES_SCHEMA: Final = {"type": "string", "format": "oryx-lines", "examples": [_LINES]}
_OBJECTS: Final = '{"user":"ann","item":"I7"}\n{"user":"bob","item":"I8","strength":2.5}\n'
_NAME: Final = {key: value for key, value in ID_SCHEMA.items() if key != "description"}
_WHOLE: Final = {"type": "integer", "minimum": -MAX_TIMESTAMP_MS, "maximum": MAX_TIMESTAMP_MS}
_DIGITS: Final = "[0-9]{1,15}"
_NONE: Final = {"enum": ["", None]}


def _id(about: str) -> dict[str, Any]:
    return {"anyOf": [_NAME, _WHOLE], "description": f"{about}; a whole number stands for its digits."}


_STRENGTH: Final = {
    "anyOf": [
        {"type": "number", "minimum": -MAX_STRENGTH, "maximum": MAX_STRENGTH},
        {
            "type": "string",
            "pattern": rf"^ *[+-]?({_DIGITS}\.?[0-9]{{0,15}}|\.{_DIGITS})([eE](\+?[0-9]|-[0-9]{{1,2}}))? *$",
        },
        _NONE,
    ],
    "description": "1 where it is missing; null takes the pair back.",
}
_OBJECT: Final = {
    "type": "object",
    "required": ["user", "item"],
    "properties": {
        "user": _id("The user's ID"),
        "item": _id("The item's ID"),
        "strength": _STRENGTH,
        "timestamp": {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": MAX_TIMESTAMP_MS},
                {"type": "string", "pattern": "^[0-9]{0,15}$"},
                {"type": "null"},
            ],
            "description": "Epoch milliseconds; now where it is missing.",
        },
        "event": {
            "anyOf": [_NAME, _WHOLE, _NONE],
            "description": "The kind of interaction, such as view or buy.",
        },
    },
    "additionalProperties": False,
}

INTERACTIONS: Final = Body(
    "Lines `user,item`, `user,item,strength`, `user,item,strength,timestamp` or with a kind as fifth field (RFC 4180 "
    "CSV; an empty strength takes the pair back), a JSON array of objects, an object a line, or files of these as "
    "parts: plain, gzip, or zip archives. What a file holds, its type says or, where that says nothing, the end of its "
    "name: .json as `application/json`, .jsonl and .ndjson an object a line, anything else lines. What is "
    "`application/json` may be lines, too, as in Oryx 2: its first bytes say. `[` and then text or a number begins "
    "lines that are arrays of the fields, `{` an object a line, `[` and anything else one array of objects, and "
    "anything else CSV lines.",
    {
        "text/csv": _LINES_SCHEMA,
        "text/plain": _LINES_SCHEMA,
        "application/json": {
            "type": "array",
            "items": _OBJECT,
            "examples": [[{"user": "ann", "item": "I7", "strength": 2.5}]],
        },
        "application/x-ndjson": {"type": "string", "format": "oryx-ndjson", "examples": [_OBJECTS]},
        "multipart/form-data": {
            "type": "object",
            "additionalProperties": {"type": "string", "format": "oryx-lines"},
        },
    },
    required=False,
)
