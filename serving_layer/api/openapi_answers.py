"""The answers of an operation in the OpenAPI document: its success, and every refusal that it can give. Pure."""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from serving_layer.api.operation import Operation

__all__ = ["HEADERS", "PROBLEM", "answers", "media", "named", "usual_refusals"]

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
_KAFKA_NAME: Final = "KafkaUnavailable"
_PASSING: Final = (429, 503)
"""They say when to try again."""
_CSV_TYPES: Final = ("text/csv", "text/plain")


class _Usual(NamedTuple):
    """Why a status is given as a rule, and how it reads."""

    why: str
    example: str


_USUAL: Final = {
    400: _Usual(
        "An argument or the body is not what it should be.", "howMany must be a whole number, 1 to 100000, not '0'"
    ),
    403: _Usual(
        "The service is read-only, or a page of another site sent this write.",
        "this service is read-only (serving.api.read_only)",
    ),
    404: _Usual("There is nothing of this name.", "user 'nobody' is unknown"),
    406: _Usual(
        "The answer does not come in a form that the client takes.",
        "answers are application/json or text/csv, and Accept is 'image/png'",
    ),
    408: _Usual(
        "The body came too slowly.", "the body came too slowly, with less than 163840 bytes in 10 s; nothing was stored"
    ),
    413: _Usual(
        "The body is too large, as sent or as inflated.",
        "the body has more than 16777216 bytes: send it in several requests",
    ),
    415: _Usual(
        "The body's media type, charset or encoding is not known.",
        "Content-Encoding must be gzip or deflate, not 'br'",
    ),
    429: _Usual("There is too much to do at once.", "512 requests are being answered: ask again in a moment"),
    500: _Usual(
        "This should not have happened, and is in the log.",
        "this should not have happened; the log has more under the request's ID",
    ),
    501: _Usual(
        "The service cannot tell what it has read (`after`).",
        "after needs the progress messages of the speed layer, which are turned off",
    ),
    503: _Usual(
        "There is no model yet, or the work was not done in time.",
        "no model has been published yet: the batch layer makes the first one",
    ),
    504: _Usual(
        "What was written is not in the model in time (`after`).",
        "what was written is not in the model after 2 s: ask again later, or leave out after",
    ),
}
_KAFKA_AWAY: Final = _Usual(
    "Kafka does not acknowledge; the write may be stored all the same.", "no acknowledgement from Kafka within 3000 ms"
)


def usual_refusals() -> dict[str, Any]:
    """Return the refusals that read the same wherever they are given, by the name under which `answers` has them."""
    found = {_name(status): _refusal(status, usual.why, usual.example) for status, usual in _USUAL.items()}
    return found | {_KAFKA_NAME: _refusal(503, *_KAFKA_AWAY)}


def answers(declared: Operation, *, read_only: bool, csv_first: bool) -> dict[str, Any]:
    """Return an operation's answers by status; of a write to a read-only service, the refusal alone."""
    if declared.writes and read_only:
        return {str(status): _reference(_name(status)) for status in (403, 500)}
    found = {str(int(declared.status)): _success(declared, csv_first=csv_first)}
    if declared.revalidated:
        headers = _headers("X-Request-Id", "X-Oryx-Generation", "ETag")
        found["304"] = {"description": "The client has it.", "headers": headers}
    always = {int(status) for status in _always(declared)}
    for status in sorted(always | set(declared.refusals)):
        found[str(status)] = _answer(declared, status, usually=status in always)
    return found


def named(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return named examples."""
    return {name: {"value": value} for name, value in values.items()}


def media(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a media type's description; the schema's ``examples`` are moved to where readers look for them."""
    rest = {key: value for key, value in schema.items() if key != "examples"}
    examples = schema.get("examples", ())
    found: dict[str, Any] = {"schema": rest}
    if examples:
        found["examples"] = named({f"example {at}": value for at, value in enumerate(examples, 1)})
    return found


def _success(declared: Operation, *, csv_first: bool) -> dict[str, Any]:
    own = ["X-Oryx-Offset"] * declared.writes + ["ETag"] * declared.revalidated
    headers = _headers("X-Request-Id", "X-Oryx-Generation", *own)
    if declared.answer is not None:
        json = {"application/json": {"schema": declared.answer.schema, "example": declared.answer.json_example}}
        csv = {kind: {"schema": {"type": "string"}, "example": declared.answer.csv_example} for kind in _CSV_TYPES}
        content = csv | json if csv_first else json | csv
        return {"description": declared.answer.about, "headers": headers, "content": content}
    if declared.produces:
        content = {media_type: media(schema) for media_type, schema in declared.produces.items()}
        return {"description": declared.summary, "headers": headers, "content": content}
    return {"description": "Done: Kafka has acknowledged it.", "headers": headers}


def _always(declared: Operation) -> Iterator[int]:
    """Return the statuses that an operation refuses with because of what it is, whatever it declares."""
    yield HTTPStatus.INTERNAL_SERVER_ERROR
    if declared.arguments or declared.body or declared.writes:
        yield HTTPStatus.BAD_REQUEST
    if declared.writes:
        yield HTTPStatus.FORBIDDEN
    if declared.answer is not None:
        yield HTTPStatus.NOT_ACCEPTABLE
    if declared.body is not None:
        yield from (408, 413, 415)
    if not declared.operating:
        yield from (429, 503)
    if any(parameter.name == "after" for parameter in declared.parameters()):
        yield from (501, 504)


def _answer(declared: Operation, status: int, *, usually: bool) -> dict[str, Any]:
    """Return a refusal: the usual one, one for reasons that the operation declares, or for either."""
    of_kafka = declared.writes and status == HTTPStatus.SERVICE_UNAVAILABLE
    own, usual = declared.refusals.get(status), _KAFKA_AWAY if of_kafka else _USUAL[status]
    if own is None:
        return _reference(_KAFKA_NAME if of_kafka else _name(status))
    why = f"{usual.why[:-1]}; or {own}." if usually else f"{own[0].upper()}{own[1:]}."
    return _refusal(status, why, usual.example)


def _refusal(status: int, why: str, example: str) -> dict[str, Any]:
    problem = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": example,
        "request_id": "checkout-4711",
    }
    return {
        "description": why,
        "headers": _headers("X-Request-Id", "X-Oryx-Generation", *["Retry-After"] * (status in _PASSING)),
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}, "example": problem}
        },
    }


def _name(status: int) -> str:
    return HTTPStatus(status).phrase.replace(" ", "")


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/responses/{name}"}


_COMPONENTS: Final = {
    "X-Request-Id": "RequestId",
    "X-Oryx-Generation": "Generation",
    "X-Oryx-Offset": "Offset",
    "ETag": "ETag",
    "Retry-After": "RetryAfter",
}


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{_COMPONENTS[name]}"} for name in names}
