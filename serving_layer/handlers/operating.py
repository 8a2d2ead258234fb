"""``GET /ready``, ``/healthz`` and ``/metrics``."""

from http import HTTPStatus

import orjson
from aiohttp import hdrs, web
from prometheus_client.exposition import choose_encoder

from serving_layer import keys
from serving_layer.problems import Problem

__all__ = ["healthz", "metrics", "ready"]


async def healthz(request: web.Request) -> web.Response:  # noqa: ARG001
    """Answer ``GET /healthz``: 200 as long as the process can answer."""
    return _json({"status": "ok"})


async def ready(request: web.Request) -> web.Response:
    """Answer ``GET /ready``: 200 if a model is served and kept up to date, else 503 with what is waited for.

    ``waiting_for`` also names what a newer epoch waits for while an older one is served.
    """
    readiness = request.app[keys.MODELS].readiness()
    state = {
        "ready": readiness.ready,
        "waiting_for": list(readiness.waiting_for),
        "generation": readiness.generation,
        "epoch": readiness.epoch,
        "input": {str(partition): offset for partition, offset in readiness.input.items()},
    }
    if not readiness.ready:
        raise Problem.unavailable(readiness.reason, **state)
    return _json(state)


async def metrics(request: web.Request) -> web.Response:
    """Answer ``GET /metrics``, in Prometheus' format or OpenMetrics, by ``Accept``."""
    encode, content_type = choose_encoder(request.headers.get(hdrs.ACCEPT, ""))
    body = encode(request.app[keys.METRICS].registry)
    return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})


def _json(document: object) -> web.Response:
    return web.Response(
        status=HTTPStatus.OK, body=orjson.dumps(document), headers={hdrs.CONTENT_TYPE: "application/json"}
    )
