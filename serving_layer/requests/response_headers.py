"""Headers that every answer has, and the one of the request that says how it may be compressed."""

from aiohttp import hdrs, web

from serving_layer.requests import app_keys

__all__ = ["accepted_codings", "add_common_headers"]


def accepted_codings(request: web.Request) -> str | None:
    """Return ``Accept-Encoding`` of all its fields as of one (RFC 9110, section 5.3), None without any."""
    fields = request.headers.getall(hdrs.ACCEPT_ENCODING, ())
    return ",".join(fields) if fields else None


def add_common_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add them to an answer that has not begun."""
    headers = response.headers
    headers["X-Request-Id"] = request[app_keys.REQUEST_ID]
    headers[hdrs.SERVER] = "oryx"  # aiohttp would tell its version and Python's
    taken = request.get(app_keys.TAKEN)
    model = request.app[app_keys.MODELS].served() if taken is None else taken.model
    if model is not None:
        headers["X-Oryx-Generation"] = model.generation
