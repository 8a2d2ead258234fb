"""For those who try the service: the console, the documentation, and the document that this is made from."""

from http import HTTPStatus
from typing import Annotated, Final

from aiohttp import hdrs, web

from serving_layer.api.operation import operation
from serving_layer.api.parameter import Parameter, Place
from serving_layer.event_loop.offload import offload
from serving_layer.http_semantics.accept_encoding import choose
from serving_layer.http_semantics.problems import Problem, quoted
from serving_layer.pages.files import FILES, File, file, packed
from serving_layer.requests import app_keys
from serving_layer.requests.response_headers import accepted_codings

__all__ = ["asset", "console", "docs", "openapi"]

_TAG = "Operate"


def _known(name: str) -> str:
    if name not in FILES:
        raise Problem(HTTPStatus.NOT_FOUND, f"there is no file {quoted(name)}")
    return name


_HTML: Final = {"text/html": {"type": "string"}}
_COST_PER_BYTE: Final = 50
"""Of compressing, in the unit of `offload`."""
_YEAR_S: Final = 31_536_000
_GUARD: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
)
Asset = Annotated[
    str,
    Parameter(
        "file",
        Place.SEGMENT,
        lambda texts: _known(texts[0]),
        {"type": "string", "enum": list(FILES)},
        "The file's name.",
        {"script": "console.js"},
    ),
]


@operation("GET", "/", tag=_TAG, operating=True, revalidated=True, produces=_HTML)
async def console(request: web.Request) -> web.Response:
    """The console: a page to try the service in a browser."""
    return await _sent(request, request.app[app_keys.PAGES].console)


@operation("GET", "/docs", tag=_TAG, operating=True, revalidated=True, produces=_HTML)
async def docs(request: web.Request) -> web.Response:
    """This documentation, as a page to browse."""
    return await _sent(request, request.app[app_keys.PAGES].docs)


@operation(
    "GET",
    "/openapi.json",
    tag=_TAG,
    operating=True,
    revalidated=True,
    produces={
        "application/json": {
            "type": "object",
            "required": ["openapi", "info", "paths"],
            "properties": {"openapi": {"type": "string", "const": "3.1.0"}},
        }
    },
)
async def openapi(request: web.Request) -> web.Response:
    """This documentation, as an OpenAPI 3.1 document."""
    return await _sent(request, request.app[app_keys.PAGES].openapi)


@operation(
    "GET",
    "/assets/{file}",
    tag=_TAG,
    operating=True,
    revalidated=True,
    produces={kind: {"type": "string"} for kind in ("text/css", "text/javascript", "image/svg+xml")},
    refusals={404: "there is no such file"},
)
async def asset(request: web.Request, name: Asset) -> web.Response:
    """A script, a style or a picture of the pages."""
    return await _sent(request, file(name))


async def _sent(request: web.Request, found: File) -> web.Response:
    """Send a file, compressed once and for all, or nothing where the client has it."""
    headers = {
        hdrs.CONTENT_TYPE: found.media_type,
        hdrs.ETAG: f'W/"{found.digest}"',  # weak: the same for each coding
        hdrs.CACHE_CONTROL: f"public, max-age={_YEAR_S}, immutable" if found.lasting else "no-cache",
        hdrs.VARY: hdrs.ACCEPT_ENCODING,
        **_GUARD,
    }
    if found.kind == "html":
        headers["Content-Security-Policy"] = _POLICY
    wanted = request.if_none_match or ()
    if any(tag.value in {found.digest, "*"} for tag in wanted):
        del headers[hdrs.CONTENT_TYPE]
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    coding = choose(accepted_codings(request)) or "identity"
    if coding == "identity":
        return web.Response(body=found.body, headers=headers)
    body = await offload(request.app[app_keys.POOL], _COST_PER_BYTE * len(found.body), packed, found, coding)
    return web.Response(body=body, headers=headers | {hdrs.CONTENT_ENCODING: coding})
