"""For those who run the service: is it ready, is it alive, what does it count."""

from http import HTTPStatus

import orjson
from aiohttp import hdrs, web
from prometheus_client.exposition import choose_encoder

from serving_layer.api.operation import operation
from serving_layer.http_semantics.problems import Problem
from serving_layer.requests import app_keys

__all__ = ["healthz", "metrics", "ready"]

_TAG = "Operate"
_STATE = {
    "type": "object",
    "required": ["ready", "waiting_for", "generation", "epoch", "input"],
    "properties": {
        "ready": {"type": "boolean"},
        "waiting_for": {"type": "array", "items": {"type": "string"}},
        "generation": {"type": ["string", "null"]},
        "epoch": {"type": ["integer", "null"]},
        "input": {
            "type": "object",
            "description": "By input partition: the offset below which everything is in what is served.",
            "additionalProperties": {"type": "integer"},
        },
    },
}


@operation("GET", "/healthz", tag=_TAG, operating=True, produces={"application/json": {"type": "object"}})
async def healthz(request: web.Request) -> web.Response:  # noqa: ARG001
    """Whether the process can answer."""
    return _json({"status": "ok"})


@operation(
    "GET",
    "/ready",
    tag=_TAG,
    operating=True,
    produces={"application/json": _STATE},
    refusals={503: "no model is served, or it is not kept up to date; the detail says what is waited for"},
)
async def ready(request: web.Request) -> web.Response:
    """Whether a model is served and kept up to date.

    `waiting_for` also names what a newer epoch waits for while an older one is served, and the input partitions of
    which the speed layer has said nothing for long.
    """
    readiness = request.app[app_keys.MODELS].readiness()
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


@operation("GET", "/metrics", tag=_TAG, operating=True, produces={"text/plain": {"type": "string"}})
async def metrics(request: web.Request) -> web.Response:
    """Counters, gauges and histograms.

    In Prometheus' format or OpenMetrics, by `Accept`.
    """
    encode, content_type = choose_encoder(request.headers.get(hdrs.ACCEPT, ""))
    body = encode(request.app[app_keys.METRICS].registry)
    return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})


def _json(document: object) -> web.Response:
    return web.Response(
        status=HTTPStatus.OK, body=orjson.dumps(document), headers={hdrs.CONTENT_TYPE: "application/json"}
    )
