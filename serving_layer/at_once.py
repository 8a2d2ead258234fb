"""Answers made in one go from the model in memory, as soon as the request is there.

Around an answer of a few dot products, a task, a request, a response and their headers cost ten times as much as the
answer. So a plain GET of an endpoint that says how it is answered ``at_once`` is answered by the connection itself, in
the bytes that the long way would have sent. Whatever is not plain goes the long way: other methods and versions,
queries, bodies, refusals, more than a few items, large answers, a service that is busy or has no model.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http_parser import RawRequestMessage

from serving_layer import keys
from serving_layer.api.answers import Answer, Texts
from serving_layer.api.negotiation import form_of
from serving_layer.api.operation import Argument, Operation, read_path
from serving_layer.api.segments import segments
from serving_layer.compression import WORTH_COMPRESSING_BYTES
from serving_layer.observing import request_id_of
from serving_layer.recording import RECORDER

__all__ = ["AT_ONCE", "AnswersAtOnce", "answers_at_once"]


class AnswersAtOnce(Protocol):
    """Answers what is quickly answered."""

    def __call__(self, message: RawRequestMessage) -> bytes | None:
        """Return an answer with its head, None for what goes the long way."""
        ...


AT_ONCE: Final = web.AppKey("at_once", AnswersAtOnce)

_MOST_SEGMENTS: Final = 12
"""Of a path: more items take longer than what is saved."""


class _Endpoint(NamedTuple):
    pattern: re.Pattern[str]
    route: str
    passed_over: int
    arguments: Sequence[Argument]
    compute: Callable[..., Answer]


def answers_at_once(app: web.Application, operations: Sequence[Operation], write: Texts) -> AnswersAtOnce:
    """Return what answers requests of the endpoints that have a way to.

    Args:
        app: with its routes; none are added later.
        operations: the endpoints.
        write: how numbers are written in CSV.
    """
    root = app[keys.API].context_path.strip("/")
    root = f"/{root}" if root else ""
    endpoints = {
        found.route.partition("{")[0]: found
        for declared in operations
        if declared.at_once is not None
        for found in [_endpoint(app, root, declared)]
    }
    api, models, running, clock = app[keys.API], app[keys.MODELS], app[keys.RUNNING], app[keys.CLOCK]
    new_id, recorder = app[keys.NEW_REQUEST_ID], app[RECORDER]
    default, most_running = api.default_format, api.max_concurrent_requests
    begin = len(root) + 1

    def answer(message: RawRequestMessage) -> bytes | None:
        path, headers = message.path, message.headers
        endpoint = endpoints.get(path[: path.find("/", begin) + 1])
        if (
            endpoint is None
            or message.method != "GET"
            or message.version != HttpVersion11
            or message.should_close
            or message.upgrade
            or endpoint.pattern.fullmatch(path) is None
            or "?" in path
            or "#" in path
            or path.count("/") > _MOST_SEGMENTS
            or hdrs.EXPECT in headers
        ):
            return None
        began = clock.monotonic()
        model = models.served()
        written = form_of(headers, default)
        if model is None or written is None or running.count >= most_running:
            return None
        try:
            values = read_path(endpoint.arguments, segments(path, endpoint.passed_over))
            found = endpoint.compute(model, **values)
            body = found.json() if written.is_json else found.csv(write)
        except Exception:  # noqa: BLE001 - the long way meets it again, and says what it is
            return None
        if len(body) >= WORTH_COMPRESSING_BYTES:
            return None
        request_id = request_id_of(headers.get("X-Request-Id"), new_id)
        recorder.record_plain(endpoint.route, path, request_id, model, clock.monotonic() - began)
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: {written.media_type}\r\nVary: Accept, Accept-Encoding\r\n"
            f"X-Request-Id: {request_id}\r\nServer: oryx\r\nX-Oryx-Generation: {model.generation}\r\n"
            f"Content-Length: {len(body)}\r\nDate: {rfc822_formatted_time()}\r\n\r\n"
        )
        return head.encode() + body

    return answer


def _endpoint(app: web.Application, root: str, declared: Operation) -> _Endpoint:
    assert declared.at_once is not None
    resource = next(found for found in app.router.resources() if found.canonical == root + declared.path)
    return _Endpoint(
        pattern=resource.get_info()["pattern"],
        route=resource.canonical,
        passed_over=len(root.split("/")) - 1 + declared.fixed_segments,
        arguments=declared.in_path,
        compute=declared.at_once,
    )
