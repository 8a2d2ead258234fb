"""The answers of an operation in the OpenAPI document: its success, and every refusal that it can give. Pure."""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

from serving_layer.api.operation import Operation
from serving_layer.openapi.components import headers
from serving_layer.openapi.usual_refusals import KAFKA_AWAY, NOBODY_FORGETS, USUAL

__all__ = ["answers", "media", "named", "usual_refusals"]

_KAFKA_NAME: Final = "KafkaUnavailable"
_PASSING: Final = (429, 503)
"""They say when to try again."""
_CSV_TYPES: Final = ("text/csv", "text/plain")


def usual_refusals() -> dict[str, Any]:
    """Return the refusals that read the same wherever they are given, by the name under which `answers` has them."""
    found = {_name(status): _refusal(status, usual.why, usual.example) for status, usual in USUAL.items()}
    return found | {_KAFKA_NAME: _refusal(503, *KAFKA_AWAY)}


def answers(declared: Operation, *, read_only: bool, csv_first: bool) -> dict[str, Any]:
    """Return an operation's answers by status; of a write to a read-only service, the refusal alone."""
    if declared.writes and read_only:
        return {str(status): _reference(_name(status)) for status in (403, 500)}
    found = {str(int(declared.status)): _success(declared, csv_first=csv_first)}
    if declared.revalidated:
        sent = headers("X-Request-Id", "X-Oryx-Generation", "ETag")
        found["304"] = {"description": "The client has it.", "headers": sent}
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
    sent = headers("X-Request-Id", "X-Oryx-Generation", *own)
    if declared.answer is not None:
        json = {"application/json": {"schema": declared.answer.schema, "example": declared.answer.json_example}}
        csv = {kind: {"schema": {"type": "string"}, "example": declared.answer.csv_example} for kind in _CSV_TYPES}
        content = csv | json if csv_first else json | csv
        return {"description": declared.answer.about, "headers": sent, "content": content}
    if declared.produces:
        content = {media_type: media(schema) for media_type, schema in declared.produces.items()}
        return {"description": declared.summary, "headers": sent, "content": content}
    return {"description": "Done: Kafka has acknowledged it.", "headers": sent}


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
    own, usual = declared.refusals.get(status), KAFKA_AWAY if of_kafka else USUAL[status]
    if declared.writes and status == HTTPStatus.NOT_IMPLEMENTED:
        usual = NOBODY_FORGETS
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
        "headers": headers("X-Request-Id", "X-Oryx-Generation", *["Retry-After"] * (status in _PASSING)),
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}, "example": problem}
        },
    }


def _name(status: int) -> str:
    return HTTPStatus(status).phrase.replace(" ", "")


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/responses/{name}"}
