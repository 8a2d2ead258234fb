"""Writes that a page of another site has a browser send: refused, since nothing asks who a client is. Pure.

Browsers send such "simple requests" without asking first, also to a service that listens on the loopback alone.
"""

from http import HTTPStatus

from aiohttp import hdrs, web

from serving_layer.http_semantics.problems import Problem, quoted

__all__ = ["refuse_cross_site"]


def refuse_cross_site(request: web.BaseRequest) -> None:
    """Let pass what was sent by no browser, or by a page of this service.

    Raises:
        Problem: 403, a page of another site sent it.
    """
    headers = request.headers
    site = headers.get("Sec-Fetch-Site")
    if site == "same-origin":  # which no page can claim: only browsers write it
        return
    origin = headers.get(hdrs.ORIGIN)
    if site == "cross-site":
        raise Problem(HTTPStatus.FORBIDDEN, "a page of another site sent this write (Sec-Fetch-Site: cross-site)")
    if origin is not None and origin.partition("://")[2].lower() != headers.get(hdrs.HOST, "").lower():
        raise Problem(
            HTTPStatus.FORBIDDEN, f"a page of another site sent this write (Origin: {quoted(origin)}, not this host)"
        )
