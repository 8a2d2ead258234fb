"""What answers have in common in the document: the form of a refusal, and the headers. Pure."""

from typing import Any, Final

__all__ = ["HEADERS", "PROBLEM", "headers"]

PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "description": "A refusal, as RFC 9457 has it.",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        "type": {"type": "string", "const": "about:blank"},
        "title": {"type": "string", "description": "The status in words."},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "What is wrong, and with what, in a sentence for people."},
        "request_id": {"type": "string", "description": "As in the log and in `X-Request-Id`."},
    },
}
HEADERS: Final[dict[str, Any]] = {
    "RequestId": {
        "description": "The caller's, or one made up.",
        "required": True,
        "schema": {"type": "string", "minLength": 1},
        "example": "checkout-4711",
    },
    "Generation": {
        "description": "The generation that the answer is from, or that is served; missing where none is.",
        "schema": {"type": "string", "minLength": 1},
        "example": "00000000000000000007",
    },
    "Offset": {
        "description": "Where it is stored, to be given as `after`: the last place in each partition. Missing where "
        "Kafka did not tell.",
        "schema": {"type": "string", "pattern": "^[0-9]+:[0-9]+(,[0-9]+:[0-9]+)*$"},
        "example": "0:41",
    },
    "ETag": {
        "description": "Names the content, for `If-None-Match`.",
        "required": True,
        "schema": {"type": "string"},
        "example": 'W/"5f9a3c0e1b2d4f68"',
    },
    "RetryAfter": {
        "description": "Seconds after which to try again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
        "example": 1,
    },
}
_COMPONENTS: Final = {
    "X-Request-Id": "RequestId",
    "X-Oryx-Generation": "Generation",
    "X-Oryx-Offset": "Offset",
    "ETag": "ETag",
    "Retry-After": "RetryAfter",
}


def headers(*names: str) -> dict[str, Any]:
    """Return references to headers, by the names that answers have them under."""
    return {name: {"$ref": f"#/components/headers/{_COMPONENTS[name]}"} for name in names}
