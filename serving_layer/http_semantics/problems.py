"""Refusals, as RFC 9457 has them: ``application/problem+json``."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Self

import orjson
from aiohttp import web

from oryx_py.errors import (
    BadRecord,
    BrokerUnavailable,
    ConfigError,
    NotReady,
    OryxError,
    QueueFull,
    StoreUnavailable,
    TopicsChanged,
)

__all__ = ["Problem", "quoted"]

_SHOWN = 100
"""Characters of a client's text that a problem repeats."""
_RETRY_S = "1"


class Problem(Exception):
    """An answer other than the one asked for.

    Args:
        status: HTTP's.
        detail: one sentence for people: what is wrong, and with what.
        headers: to be sent with it.
        members: further members of the document.
    """

    def __init__(
        self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **members: object
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = members

    @classmethod
    def busy(cls, detail: str) -> Self:
        """429: there is too much to do at once; soon there will not be."""
        return cls(HTTPStatus.TOO_MANY_REQUESTS, detail, headers={"Retry-After": _RETRY_S})

    @classmethod
    def unavailable(cls, detail: str, **members: object) -> Self:
        """503: what is needed is not there now."""
        return cls(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": _RETRY_S}, **members)

    @classmethod
    def of(cls, error: OryxError | web.HTTPException) -> Self | None:
        """Return what a client is told of an error; None where it is this program's fault."""
        match error:
            case web.HTTPException():
                headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
                return cls(error.status, _REASONS.get(error.status, error.reason), headers=headers)
            case BadRecord():
                return cls(HTTPStatus.BAD_REQUEST, error.reason)
            case QueueFull():
                return cls.busy(str(error))
            case NotReady() | BrokerUnavailable() | StoreUnavailable() | TopicsChanged() | ConfigError():
                return cls.unavailable(str(error))
            case _:
                return None

    def response(self, request_id: str) -> web.Response:
        """Write the document."""
        document: dict[str, Any] = {
            "type": "about:blank",
            "title": _title(self.status),
            "status": self.status,
            "detail": self.detail.encode(errors="backslashreplace").decode(),
            "request_id": request_id,
            **self.members,
        }
        return web.Response(
            status=self.status,
            body=orjson.dumps(document),
            headers={**self.headers, "Content-Type": "application/problem+json"},
        )


_REASONS: dict[int, str] = {
    HTTPStatus.NOT_FOUND: "there is nothing at this path",
    HTTPStatus.METHOD_NOT_ALLOWED: "this path does not take this method",
}


def quoted(text: str) -> str:
    """Return a client's text as it may stand in a sentence: in quotes, escaped, cut short."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
