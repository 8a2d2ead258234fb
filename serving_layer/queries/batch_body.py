"""The body of ``POST /recommend``: a list of users, or an object with all that is asked."""

import asyncio
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from aiohttp import hdrs, web

from oryx_py.errors import BadInteraction
from oryx_py.events import check_id
from serving_layer.api.arguments import ID_SCHEMA
from serving_layer.api.operation import Body
from serving_layer.api.parsing import MAX_RESULTS, MAX_TEXT, MAX_TIMES, Page, page
from serving_layer.event_loop.offload import offload
from serving_layer.http_semantics.problems import Problem, quoted
from serving_layer.http_semantics.request_bodies import body_of
from serving_layer.requests import app_keys

__all__ = ["BODY", "MAX_ROWS", "MAX_USERS", "Asked", "asked_of"]

MAX_USERS: Final = 10_000
"""A request: some seconds of one core at a million items; of more, several requests share the cores better."""
MAX_ROWS: Final = 10_000_000
"""Of all lists together: some 400 MB as JSON."""

_COST_PER_BYTE: Final = 2
"""Of reading the body, in the unit of `offload`: 0.75 MB are what the loop does itself."""
_MEMBERS: Final = 5
_TAKEN: Final = {"application/json", "application/x-www-form-urlencoded"}
"""The latter is what curl says of any body unless told otherwise."""

_Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What is asked for; None where the query says."""

    users: list[str]
    # To JSON, 10.0 is a whole number, too.
    how_many: Annotated[float, msgspec.Meta(ge=1, le=MAX_RESULTS, multiple_of=1)] | None = None
    offset: Annotated[float, msgspec.Meta(ge=0, le=MAX_RESULTS, multiple_of=1)] | None = None
    consider_known_items: bool | None = None
    rescorer_params: Annotated[list[_Text], msgspec.Meta(max_length=MAX_TIMES)] | None = None

    def paging(self, query: Page) -> Page:
        """Return the page asked for.

        Raises:
            Problem: 400, it is too large, or all users' are together.
        """
        how_many = query.how_many if self.how_many is None else self.how_many
        asked = page(int(how_many), int(query.offset if self.offset is None else self.offset))
        if len(self.users) * asked.want > MAX_ROWS:
            raise _bad(f"users times howMany and offset must not exceed {MAX_ROWS}: ask for fewer users at a time")
        return asked


_USERS: Final[dict[str, Any]] = {"type": "array", "items": ID_SCHEMA, "maxItems": MAX_USERS}
_COUNT: Final = {"type": ["integer", "null"], "maximum": MAX_RESULTS}
BODY: Final = Body(
    f"Up to {MAX_USERS} users: a list of their IDs, or an object, whose members stand above the query's parameters of "
    "the same names.",
    {
        "application/json": {
            "oneOf": [
                _USERS,
                {
                    "type": "object",
                    "required": ["users"],
                    "properties": {
                        "users": _USERS,
                        "howMany": _COUNT | {"minimum": 1},
                        "offset": _COUNT | {"minimum": 0},
                        "considerKnownItems": {"type": ["boolean", "null"]},
                        "rescorerParams": {
                            "type": ["array", "null"],
                            "items": {"type": "string", "maxLength": MAX_TEXT},
                            "maxItems": MAX_TIMES,
                        },
                    },
                    "additionalProperties": False,
                },
            ],
            "examples": [["ann", "bob"], {"users": ["ann", "bob"], "howMany": 5, "considerKnownItems": True}],
        }
    },
)
_list = msgspec.json.Decoder(list[str])
_object = msgspec.json.Decoder(Asked)


async def asked_of(request: web.Request) -> Asked:
    """Read the body.

    Raises:
        Problem: 400 naming what is wrong, 408, 413, 415.
    """
    if hdrs.CONTENT_TYPE in request.headers and request.content_type not in _TAKEN:
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"Content-Type must be application/json, not {quoted(request.content_type)}",
        )
    api, budget = request.app[app_keys.API], request.app[app_keys.BODY_BUDGET]
    limit_s = api.request_timeout_ms / 1000
    try:
        async with (
            asyncio.timeout(limit_s),
            body_of(
                request, max_bytes=api.max_body_bytes, max_inflated_bytes=api.max_inflated_bytes, budget=budget
            ) as body,
        ):
            return await offload(request.app[app_keys.POOL], len(body) * _COST_PER_BYTE, _decoded, body)
    except TimeoutError:
        raise Problem(
            HTTPStatus.REQUEST_TIMEOUT,
            f"the body was not there within {limit_s:g} s",
            headers={hdrs.CONNECTION: "close"},
        ) from None


def _decoded(body: bytes) -> Asked:
    if _quotes(body) > 2 * (MAX_USERS + MAX_TIMES + _MEMBERS):
        raise _bad(f"users has more than {MAX_USERS} entries: send several requests")
    try:
        asked = Asked(_list.decode(body)) if body.lstrip()[:1] == b"[" else _object.decode(body)
    except msgspec.DecodeError as error:  # and ValidationError, which names the place
        raise _bad(f"the body must be a JSON list of users, or an object with users: {error}") from None
    except UnicodeDecodeError:
        raise _bad("the body is not UTF-8") from None
    if len(asked.users) > MAX_USERS:
        raise _bad(f"users has {len(asked.users)} entries, more than {MAX_USERS}: send several requests")
    for at, user in enumerate(asked.users):
        try:
            check_id(user, "user")
        except BadInteraction as error:
            raise _bad(f"users[{at}]: {error.reason}") from None
    return asked


def _quotes(body: bytes) -> int:
    """Return at most how many quotes begin or end a text, and at least how many texts there are.

    The decoder makes all of them before it looks at their number, which a small compressed body can make very large.
    What follows a backslash is not counted: a quote inside a text, or the end of one whose last character that is.
    """
    return body.count(b'"') - body.count(b'\\"')


def _bad(detail: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, detail)
