"""Straight to an endpoint by its path, or its first segment where that says all; aiohttp's router takes the rest.

The router decodes the path, walks it from its end, makes a match of every variable and wraps the handler anew: a good
part of what a quick answer costs, for values that nobody reads, since IDs are read from the path as it was sent.
"""

import re
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeAlias

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from aiohttp.web_urldispatcher import MatchInfoError, UrlMappingMatchInfo

from serving_layer.http_semantics.problems import Problem
from serving_layer.requests import app_keys
from serving_layer.requests.middleware import observe

__all__ = ["Dispatch", "Refuse", "dispatching", "refusing"]

Dispatch: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]
Refuse: TypeAlias = Callable[[web.Request, Problem], Awaitable[web.StreamResponse]]


class _Straight(NamedTuple):
    """An endpoint, the pattern of its paths, and what handlers find of it in a request."""

    pattern: re.Pattern[str]
    handler: Handler
    match: UrlMappingMatchInfo


def dispatching(app: web.Application, otherwise: Dispatch) -> Dispatch:
    """Return what answers a request.

    Args:
        app: whose routes there are; none are added later.
        otherwise: answers whatever else is asked, as the application does by itself.
    """
    root = len(app[app_keys.API].context_path.rstrip("/"))
    whole: dict[tuple[str, str], _Straight] = {}
    straight: dict[tuple[str, str], _Straight] = {}
    for route in app.router.routes():
        resource = route.resource
        if resource is None:
            continue
        pattern = resource.get_info().get("pattern")
        fixed = resource.canonical.partition("{")[0]
        match = UrlMappingMatchInfo({}, route)
        match.add_app(app)
        match.freeze()
        if pattern is None:
            whole[route.method, fixed] = _Straight(re.compile(re.escape(fixed)), route.handler, match)
        elif fixed == _head(fixed, root):
            straight[route.method, fixed] = _Straight(pattern, route.handler, match)

    async def dispatch(request: web.Request) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0]
        found = whole.get((request.method, path)) or straight.get((request.method, _head(path, root)))
        if found is None or found.pattern.fullmatch(path) is None or hdrs.EXPECT in request.headers:
            return await otherwise(request)
        request._match_info = found.match
        return await observe(request, found.handler)

    return dispatch


def refusing(app: web.Application) -> Refuse:
    """Return what refuses a request before anybody looks where it leads, and is observed as every answer is."""

    async def refuse(request: web.Request, problem: Problem) -> web.StreamResponse:
        match = MatchInfoError(web.HTTPNotFound())
        match.add_app(app)
        match.freeze()
        request._match_info = match

        async def refused(request: web.Request) -> web.StreamResponse:  # noqa: ARG001
            raise problem

        response = await observe(request, refused)
        response.force_close()
        return response

    return refuse


def _head(path: str, root: int) -> str:
    """Return a path up to its first segment below the context path, and the slash after it; empty where there is none.

    ``root`` is the length of the context path.
    """
    return path[: path.find("/", root + 1) + 1]
