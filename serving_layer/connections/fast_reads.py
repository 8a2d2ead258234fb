"""Answers made in one go from the model in memory, as soon as the request is there.

Around an answer of a few dot products, a task, a request, a response and their headers cost ten times as much as the
answer. So a plain GET of an endpoint that says how it is answered ``at_once`` is answered by the connection itself, in
the bytes that the long way would have sent. Whatever is not plain goes the long way: other methods and versions,
queries with more than such endpoints take, bodies, refusals, more than a few items, long searches, large answers,
plug-ins, a service that is busy or has no model.
"""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http_parser import RawRequestMessage

from serving_layer.api.handler_arguments import Argument, read_query
from serving_layer.api.operation import Operation
from serving_layer.api.parameter import Parameter, Place
from serving_layer.api.rendering import Answer, Texts
from serving_layer.connections.plain_head import PlainHead, plain_head
from serving_layer.http_semantics.compression import WORTH_COMPRESSING_BYTES
from serving_layer.requests import app_keys
from serving_layer.requests.recorder import RECORDER

__all__ = ["FAST_READS", "NO_FAST_READS", "FastReads", "fast_reads"]


class FastReads(NamedTuple):
    """Answers what is quickly answered: of its head and its path the answer with its head, None for the long way."""

    head_of: Callable[[RawRequestMessage], PlainHead | None]
    answer: Callable[[str, PlainHead], bytes | None]


FAST_READS: Final = web.AppKey("fast_reads", FastReads)
NO_FAST_READS: Final = FastReads(lambda message: None, lambda path, head: None)  # noqa: ARG005

_SEGMENT: Final = r"[A-Za-z0-9\-._~%!$&'()*+,;=:@]*+"
"""RFC 3986's ``pchar``, so that a path ends before a query; nothing is tried twice, however long it is."""
_MOST_ITEMS: Final = 10
"""Of a path: more take longer than what is saved."""
_QUERY: Final = re.compile(r"[A-Za-z]++=[A-Za-z0-9]*+(?:&[A-Za-z]++=[A-Za-z0-9]*+)*+")
"""What a query reads as, whatever rules of escaping one reads it by."""
_QUERIES: Final = 256
"""That are remembered, of each endpoint: clients ask the same way again and again."""


class _Endpoint(NamedTuple):
    route: str
    pattern: re.Pattern[str]
    """Its groups are the arguments, still escaped."""
    read: Sequence[Callable[[str], Any]]
    user: int | None
    """Which of them is the user; None where it asks of none."""
    in_query: Callable[[str], Mapping[str, Any] | None]
    """Reads a query; None for the long way."""
    compute: Callable[..., Answer | None]


def fast_reads(app: web.Application, operations: Sequence[Operation], write: Texts) -> FastReads:
    """Return what answers requests of the endpoints that have a way to.

    Args:
        app: what they work with.
        operations: the endpoints.
        write: how numbers are written in CSV.
    """
    api, models, running, clock = app[app_keys.API], app[app_keys.MODELS], app[app_keys.RUNNING], app[app_keys.CLOCK]
    new_id, recorder = app[app_keys.NEW_REQUEST_ID], app[RECORDER]
    default, most_running = api.default_format, api.max_concurrent_requests
    root = api.context_path.strip("/")
    root = f"/{root}" if root else ""
    begin = len(root) + 1
    endpoints = {
        root + found.path.partition("{")[0]: _endpoint(root, found)
        for found in operations
        if found.at_once is not None and (found.rescored is None or not app[app_keys.PLUGINS].concern(found.rescored))
    }

    def endpoint_of(path: str) -> _Endpoint | None:
        return endpoints.get(path[: path.find("/", begin) + 1])

    def head_of(message: RawRequestMessage) -> PlainHead | None:
        return None if endpoint_of(message.path) is None else plain_head(message, default)

    def answer(path: str, head: PlainHead) -> bytes | None:
        endpoint = endpoint_of(path)
        before, mark, query = path.partition("?")
        found = None if endpoint is None else endpoint.pattern.fullmatch(before)
        if endpoint is None or found is None or running.count >= most_running:
            return None
        began = clock.monotonic()
        model = models.served()
        if model is None:
            return None
        form, request_id = head
        try:
            values = [read(text) for read, text in zip(endpoint.read, found.groups(), strict=True)]
            options = endpoint.in_query(query) if mark else {}
            computed = None if options is None else endpoint.compute(model, *values, **options)
            if computed is None:
                return None
            body = computed.json() if form.is_json else computed.csv(write)
        except Exception:  # noqa: BLE001 - the long way meets it again, and says what it is
            return None
        if len(body) >= WORTH_COMPRESSING_BYTES:
            return None
        request_id = request_id or new_id()
        user = None if endpoint.user is None else values[endpoint.user]
        recorder.record_plain(endpoint.route, path, request_id, model, clock.monotonic() - began, user=user)
        return (
            f"HTTP/1.1 200 OK\r\nContent-Type: {form.media_type}\r\nVary: Accept, Accept-Encoding\r\n"
            f"X-Request-Id: {request_id}\r\nServer: oryx\r\nX-Oryx-Generation: {model.generation}\r\n"
            f"Content-Length: {len(body)}\r\nDate: {rfc822_formatted_time()}\r\n\r\n"
        ).encode() + body

    return FastReads(head_of, answer)


def _endpoint(root: str, declared: Operation) -> _Endpoint:
    assert declared.at_once is not None
    fixed, arguments = declared.path.partition("{")[0], declared.in_path
    more = rf"{_SEGMENT}(?:/{_SEGMENT}){{0,{_MOST_ITEMS - 1}}}+"
    groups = [f"({_SEGMENT if found.place is Place.SEGMENT else more})" for found in arguments]
    return _Endpoint(
        route=root + declared.path,
        pattern=re.compile(re.escape(root + fixed) + "/".join(groups)),
        read=[_reader(found) for found in arguments],
        user=next((place for place, found in enumerate(arguments) if found.name == "user"), None),
        in_query=_query_reader(declared),
        compute=declared.at_once,
    )


def _reader(argument: Argument) -> Callable[[str], Any]:
    assert isinstance(argument.source, Parameter)
    read = argument.source.read
    if argument.place is Place.SEGMENT:
        return lambda text: read((text,))
    return lambda text: read(text.split("/"))


def _query_reader(declared: Operation) -> Callable[[str], Mapping[str, Any] | None]:
    """Return what reads the arguments that are answered at once and stand in the query."""
    assert declared.at_once is not None
    taken = inspect.signature(declared.at_once).parameters
    arguments = [found for found in declared.arguments if found.place is Place.QUERY and found.name in taken]
    known = {parameter.name for argument in arguments for parameter in argument.parameters}

    @lru_cache(_QUERIES)
    def read(query: str) -> Mapping[str, Any] | None:
        if not _QUERY.fullmatch(query):
            return None
        texts: dict[str, list[str]] = {}
        for part in query.split("&"):
            name, _, text = part.partition("=")
            texts.setdefault(name, []).append(text)
        return read_query(arguments, texts) if texts.keys() <= known else None

    return read
