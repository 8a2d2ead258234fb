"""Single writes that the connection itself reads and answers; in between they wait for Kafka as all writes do.

Of what a ``POST /pref`` costs, the request and response objects around it are the greater part. So a plain one, with a
short body that is there as a whole, is taken from the parser's hands. Everything else goes the long way, and is refused
there: other paths and versions, queries, long or encoded bodies, idempotency keys, browsers, a service that is busy.

1. the head says that it is plain, and there is room for another write;
2. a task reads the body, sends the record and waits for its acknowledgement;
3. the answer goes out, in the bytes that the long way would have sent; until then what else comes on the connection
   waits.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final, NamedTuple, TypeAlias

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http_parser import RawRequestMessage

from serving_layer.api.parsing import id_of
from serving_layer.handlers.pref import post_pref, pref_of
from serving_layer.handlers.storing import store
from serving_layer.requests import app_keys
from serving_layer.requests.middleware import problem_of
from serving_layer.requests.recorder import RECORDER
from serving_layer.requests.request_ids import sent_id

__all__ = ["FAST_WRITES", "NO_FAST_WRITES", "FastWrites", "fast_writes"]

Answered: TypeAlias = Callable[[bytes], None]


class FastWrites(NamedTuple):
    """``takes`` says of a head and the size of its body whether ``write`` answers it: soon, by a callback."""

    takes: Callable[[RawRequestMessage, int], bool]
    write: Callable[[RawRequestMessage, bytes, Answered], None]


FAST_WRITES: Final = web.AppKey("fast_writes", FastWrites)
NO_FAST_WRITES: Final = FastWrites(lambda message, size: False, lambda message, body, answered: None)  # noqa: ARG005

_SEGMENT: Final = r"([A-Za-z0-9\-._~%!$&'()*+,;=:@]*+)"
_MOST_BYTES: Final = 256
_NOT_PLAIN: Final = (hdrs.CONTENT_ENCODING, hdrs.EXPECT, "Idempotency-Key", hdrs.ORIGIN, "Sec-Fetch-Site")


def fast_writes(app: web.Application) -> FastWrites:
    """Return what answers such writes."""
    api, models, running, clock = app[app_keys.API], app[app_keys.MODELS], app[app_keys.RUNNING], app[app_keys.CLOCK]
    new_id, recorder = app[app_keys.NEW_REQUEST_ID], app[RECORDER]
    if api.read_only or api.request_timeout_ms < api.write_timeout_ms:
        return NO_FAST_WRITES
    root = api.context_path.strip("/")
    root = f"/{root}" if root else ""
    route, fixed = root + post_pref.path, root + post_pref.path.partition("{")[0]
    pattern = re.compile(f"{re.escape(fixed)}{_SEGMENT}/{_SEGMENT}")
    tasks: set[asyncio.Task[None]] = set()

    def takes(message: RawRequestMessage, size: int) -> bool:
        return (
            message.method == "POST"
            and message.path.startswith(fixed)
            and size <= min(_MOST_BYTES, api.max_body_bytes)
            and running.count < api.max_concurrent_requests
            and running.writes < max(1, api.max_concurrent_requests // 2)
            and pattern.fullmatch(message.path) is not None
            and message.version == HttpVersion11
            and not (message.should_close or message.upgrade or message.chunked)
            and not any(name in message.headers for name in _NOT_PLAIN)
        )

    def write(message: RawRequestMessage, body: bytes, answered: Answered) -> None:
        running.count += 1
        running.writes += 1
        task = asyncio.get_running_loop().create_task(answer(message, body, answered))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def answer(message: RawRequestMessage, body: bytes, answered: Answered) -> None:
        began, path = clock.monotonic(), message.path
        request_id = sent_id(message.headers.get("X-Request-Id")) or new_id()
        status, headers, content = int(HTTPStatus.NO_CONTENT), {}, b""
        try:
            user, item = path[len(fixed) :].split("/")
            done = await store(app, pref_of(id_of(user, "user"), id_of(item, "item"), body))
            headers = dict(done.headers)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client has an answer
            refusal = problem_of(error, request_id, path).response(request_id)
            assert isinstance(refusal.body, bytes)
            status, headers, content = refusal.status, dict(refusal.headers), refusal.body
        finally:
            running.count -= 1
            running.writes -= 1
        model = models.served()
        headers |= {"X-Request-Id": request_id, hdrs.SERVER: "oryx"}
        if model is not None:
            headers["X-Oryx-Generation"] = model.generation
        recorder.record_plain(route, path, request_id, None, clock.monotonic() - began, method="POST", status=status)
        answered(_written(status, headers, content))

    return FastWrites(takes, write)


def _written(status: int, headers: Mapping[str, str], content: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {text}" for name, text in headers.items())]
    if status != HTTPStatus.NO_CONTENT:
        lines.append(f"Content-Length: {len(content)}")
    lines.append(f"Date: {rfc822_formatted_time()}\r\n\r\n")
    return "\r\n".join(lines).encode() + content
