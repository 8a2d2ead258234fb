"""What is said to clients before any handler: their bytes are no request, or do not come; not in the parser's words."""

from http import HTTPStatus

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.http_exceptions import (
    BadHttpMethod,
    ContentLengthError,
    HttpProcessingError,
    InvalidURLError,
    LineTooLong,
    TransferEncodingError,
)

from serving_layer.http_semantics.problems import Problem

__all__ = [
    "answer_as_http11",
    "broken_off",
    "closing",
    "no_place",
    "refusal_of",
    "sent_raw",
    "too_long_a_head",
    "too_slow_to_ask",
    "too_slow_to_send",
]


def refusal_of(error: BaseException | None, *, max_url_bytes: int) -> Problem:
    """Return the answer to what could not be parsed, or failed outside any handler.

    Args:
        error: the parser's, or what was raised.
        max_url_bytes: by this the parser's error about a long line tells the URL from a header.
    """
    match error:
        case Problem():
            return error
        case LineTooLong() if error.args[1] == max_url_bytes:
            return Problem(HTTPStatus.REQUEST_URI_TOO_LONG, f"the URL has more than {max_url_bytes} bytes")
        case LineTooLong():
            return too_long_a_head()
        case HttpProcessingError() if error.message.startswith("Too many headers"):
            return too_long_a_head()
        case BadHttpMethod():
            return Problem(HTTPStatus.BAD_REQUEST, "this is no HTTP request: it does not begin with a method")
        case InvalidURLError():
            return Problem(HTTPStatus.BAD_REQUEST, "what the request is for is no URL")
        case TransferEncodingError() | ContentLengthError():
            return Problem(HTTPStatus.BAD_REQUEST, "the body is not framed as HTTP has it")
        case HttpProcessingError():
            return Problem(HTTPStatus.BAD_REQUEST, "this is no HTTP request: its first line or a header is malformed")
        case _:
            return Problem(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                "this should not have happened; the log has more under the request's ID",
            )


def too_long_a_head() -> Problem:
    """431: the headers are too many, one is too long, or all together."""
    return Problem(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers are too many or too long")


def broken_off() -> Problem:
    """400: the client ended its side before the end."""
    return Problem(HTTPStatus.BAD_REQUEST, "the request broke off")


def no_place(limit: int) -> Problem:
    """503: there are as many connections as there may be."""
    return Problem.unavailable(f"there are {limit} connections already: try again in a moment")


def too_slow_to_ask() -> Problem:
    """408: the head of a request did not come."""
    return Problem(HTTPStatus.REQUEST_TIMEOUT, "no whole request came in time")


def too_slow_to_send() -> Problem:
    """408: the body of a request came too slowly."""
    return Problem(HTTPStatus.REQUEST_TIMEOUT, "the body came too slowly; nothing was waited for any longer")


def sent_raw(problem: Problem, request_id: str) -> bytes:
    """Return a whole answer, for a connection on which nothing was asked."""
    response = problem.response(request_id)
    assert isinstance(response.body, bytes)
    headers = {
        **response.headers,
        "X-Request-Id": request_id,
        "Server": "oryx",
        "Content-Length": str(len(response.body)),
        "Connection": "close",
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}\r\n{lines}\r\n".encode() + response.body


def answer_as_http11(request: web.BaseRequest) -> None:
    """Have a request of another version answered in this one, or the answer would claim to be of the other, too."""
    request._version = HttpVersion11
    request._cache.pop("version", None)  # aiohttp remembers what it has read once


def closing(problem: Problem, request_id: str) -> web.Response:
    """Return an answer with which the connection ends, made outside the middleware."""
    response = problem.response(request_id)
    response.headers["X-Request-Id"] = request_id
    response.headers[hdrs.SERVER] = "oryx"
    response.force_close()
    return response
