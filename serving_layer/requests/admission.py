"""Which requests are let in: so many at a time, for so long, fewer of them writes, and none of another site's pages."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from aiohttp import web

from oryx_py.config import Api
from serving_layer.event_loop.time_limit import within
from serving_layer.http_semantics.problems import Problem
from serving_layer.producing.write_progress import WriteProgress
from serving_layer.requests import app_keys
from serving_layer.requests.answering import AiohttpHandler
from serving_layer.requests.cross_site import refuse_cross_site

__all__ = ["aside", "bounded", "few", "forbidden", "of_this_site"]


def bounded(handler: AiohttpHandler, *, paced: bool, writes: bool) -> AiohttpHandler:
    """Let only so many requests be at work at the same time, each only for so long; ``paced`` ones see to that."""

    async def answer(request: web.Request) -> web.StreamResponse:
        api, running = request.app[app_keys.API], request.app[app_keys.RUNNING]
        if running.count >= api.max_concurrent_requests:
            raise Problem.busy(f"{running.count} requests are being answered: ask again in a moment")
        running.count += 1
        try:
            return await within(None if paced else api.request_timeout_ms / 1000, handler(request))
        except TimeoutError:
            raise _cut_off(request, api.request_timeout_ms, writes=writes) from None
        finally:
            running.count -= 1

    return answer


def few(handler: AiohttpHandler) -> AiohttpHandler:
    """Leave half of the requests at a time to reads: while Kafka is away, writes wait for it, and reads need not."""

    async def answer(request: web.Request) -> web.StreamResponse:
        api, running = request.app[app_keys.API], request.app[app_keys.RUNNING]
        if running.writes >= _half(api):
            raise Problem.busy(f"{running.writes} writes wait for Kafka: send this again in a moment")
        running.writes += 1
        try:
            return await handler(request)
        finally:
            running.writes -= 1

    return answer


@contextmanager
def aside(request: web.Request) -> Iterator[None]:
    """Give a read's place to others while it waits for what was written.

    Nobody knows when that comes: while the speed layer is away, reads that wait for it would take every place. So that
    they are bounded too, half as many may wait as are answered. Who has waited has a place again, also where others
    have taken all of them meanwhile: it is they who come later.

    Raises:
        Problem: 429, too many wait already.
    """
    api, running = request.app[app_keys.API], request.app[app_keys.RUNNING]
    if running.waiting >= _half(api):
        raise Problem.busy(
            f"{running.waiting} reads wait for what was written: ask again in a moment, or leave out after"
        )
    running.waiting += 1
    running.count -= 1
    try:
        yield
    finally:
        running.count += 1
        running.waiting -= 1


def of_this_site(handler: AiohttpHandler) -> AiohttpHandler:
    """Refuse what a page of another site sends."""

    async def answer(request: web.Request) -> web.StreamResponse:
        refuse_cross_site(request)
        return await handler(request)

    return answer


def _half(api: Api) -> int:
    """Return how many of the requests at a time may wait for Kafka, and how many beside them for the speed layer."""
    return max(1, api.max_concurrent_requests // 2)


async def forbidden(request: web.Request) -> web.StreamResponse:  # noqa: ARG001
    """Refuse a write where nothing is written."""
    raise Problem(HTTPStatus.FORBIDDEN, "this service is read-only (serving.api.read_only)")


def _cut_off(request: web.Request, timeout_ms: int, *, writes: bool) -> Problem:
    """Return the answer to a request that took too long, with what it had stored until then."""
    stored: WriteProgress | None = request.get(app_keys.STORED)
    if stored is None:
        but = "; the write may be stored all the same" if writes else ""
        return Problem.unavailable(f"this was not done within {timeout_ms} ms{but}")
    return stored.stopped(f"this was not done within {timeout_ms} ms")
