"""The OpenAPI 3.1 document of the interface, made from its operations. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from serving_layer.api.operation import Operation
from serving_layer.api.parameter import Group, Parameter, Place
from serving_layer.openapi.components import HEADERS, PROBLEM
from serving_layer.openapi.responses import answers, media, named, usual_refusals
from serving_layer.openapi.texts import DESCRIPTION, SUMMARY, TAGS

__all__ = ["Json", "openapi_document", "operation_id"]

Json: TypeAlias = dict[str, Any]

# Examples of these stand in the text: pages to try the interface send what is an example of its own.
_REQUEST_ID: Final[Json] = {
    "name": "X-Request-Id",
    "in": "header",
    "description": "Such as `checkout-4711`. Comes back in the answer and stands in the log: its first 128 characters, "
    "without those that are not visible ASCII. One is made up where there is none.",
    "schema": {"type": "string"},
}
_IDEMPOTENCY_KEY: Final[Json] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Such as `order-4711`. Makes it safe to send the same write again: what came with the same key for "
    "the same user some time before (a day, unless `input.dedupe_window_s` says otherwise) counts once, "
    "unless `input.dedupe_records` others with keys came to its partition in between. What deletes or forgets repeats "
    "nothing but the same kind of request: under the key of an interaction it counts.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
}
_IF_NONE_MATCH: Final[Json] = {
    "name": "If-None-Match",
    "in": "header",
    "description": 'The `ETag` of an answer that the client has, such as `W/"5f9a3c0e1b2d4f68"`.',
    "schema": {"type": "string"},
}
_IN: Final = {Place.SEGMENT: "path", Place.REST: "path", Place.QUERY: "query"}


def openapi_document(
    operations: Sequence[Operation],
    *,
    context_path: str,
    read_only: bool,
    default_format: Literal["json", "csv"],
    version: str,
) -> Json:
    """Return the document.

    Args:
        operations: in the order in which it shows them.
        context_path: before all paths.
        read_only: whether every write is refused.
        default_format: of answers, where the client has no preference; it stands first.
        version: of this program.
    """
    paths: dict[str, Json] = {}
    plain = [(declared.method, declared.path) for declared in operations if "{" not in declared.path]
    for declared in operations:
        for path in (*paths_of(declared), *_named_like(declared, plain)):
            described = _described(declared, path, read_only=read_only, csv_first=default_format == "csv")
            paths.setdefault(path, {})[declared.method.lower()] = described
    used = {declared.tag for declared in operations}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Oryx",
            "version": version,
            "summary": SUMMARY,
            "description": DESCRIPTION,
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/" + context_path.strip("/"), "description": "This service"}],
        "tags": [{"name": name, "description": about} for name, about in TAGS.items() if name in used],
        "security": [],
        "paths": paths,
        "components": {
            "schemas": {"Problem": PROBLEM},
            "responses": usual_refusals(),
            "headers": HEADERS,
            "parameters": {
                "RequestId": _REQUEST_ID,
                "IdempotencyKey": _IDEMPOTENCY_KEY,
                "IfNoneMatch": _IF_NONE_MATCH,
            },
        },
    }


def paths_of(declared: Operation) -> Iterator[str]:
    """Return the templates of an operation's path: two where the last part may be left out, the longer one last."""
    for parameter in declared.parameters():
        if parameter.optional:
            yield declared.path.replace(f"/{{{parameter.name}}}", "")
    yield declared.path


def _named_like(declared: Operation, plain: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Return the paths of others that an operation answers, too: to DELETE, /item/allIDs is the item of this ID."""
    pattern = re.compile(re.sub(r"\{\w+\}", "[^/]+", declared.path))
    for _, path in plain:
        if pattern.fullmatch(path) and (declared.method, path) not in plain:
            yield path


def operation_id(declared: Operation, path: str) -> str:
    """Return the name that generated clients give an operation: its handler's, in camel case."""
    name = re.sub("_(.)", lambda found: found[1].upper(), declared.name)
    if path == declared.path:
        return name
    return f"{name}Alone" if declared.path.startswith(path) else f"{name}{_last(path)[0].upper()}{_last(path)[1:]}"


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _described(declared: Operation, path: str, *, read_only: bool, csv_first: bool) -> Json:
    operation: Json = {
        "operationId": operation_id(declared, path),
        "tags": [declared.tag],
        "summary": declared.summary.rstrip("."),
        "description": declared.description
        + (f"\n\nThis is the one whose ID is `{_last(path)}`." if not declared.path.startswith(path) else ""),
        "parameters": list(_parameters(declared, path)),
    }
    if declared.body is not None:
        operation["requestBody"] = {
            "description": declared.body.about,
            "required": declared.body.required,
            "content": {media_type: media(schema) for media_type, schema in declared.body.content.items()},
        }
    operation["responses"] = answers(declared, read_only=read_only, csv_first=csv_first)
    return operation


def _parameters(declared: Operation, path: str) -> Iterator[Json]:
    for argument in declared.arguments:
        source = argument.source
        defaults: Sequence[Any] = source.defaults if isinstance(source, Group) else (argument.default,)
        for parameter, default in zip(argument.parameters, defaults, strict=True):
            if parameter.place is Place.QUERY:
                yield _parameter(parameter) | _schema(parameter, default)
            elif f"{{{parameter.name}}}" in path:
                yield _parameter(parameter) | {"required": True} | _schema(parameter, None)
    yield {"$ref": "#/components/parameters/RequestId"}
    if declared.writes:
        yield {"$ref": "#/components/parameters/IdempotencyKey"}
    if declared.revalidated:
        yield {"$ref": "#/components/parameters/IfNoneMatch"}


def _parameter(parameter: Parameter) -> Json:
    found: Json = {"name": parameter.name, "in": _IN[parameter.place], "description": parameter.about}
    if parameter.examples:
        listed = {name: [value] if parameter.repeated else value for name, value in parameter.examples.items()}
        found["examples"] = named(listed)
    return found


def _schema(parameter: Parameter, default: object) -> Json:
    schema: Mapping[str, Any] = parameter.schema
    if parameter.repeated:
        return {"schema": {"type": "array", "items": schema, "maxItems": parameter.most}}
    # Defaults have one owner, the handler's signature.
    return {"schema": {**schema, "default": default} if isinstance(default, bool | int | str) else {**schema}}
