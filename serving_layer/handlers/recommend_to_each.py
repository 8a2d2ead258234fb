"""The best items for each of many users, in one request."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from http import HTTPStatus
from typing import Final

import numpy as np
import structlog
from aiohttp import web

from serving_layer.api.answers import Scored
from serving_layer.api.arguments import After, ConsiderKnownItems, Paging, Recall, RescorerParams
from serving_layer.api.batch_answers import Block, EachScored
from serving_layer.api.operation import operation
from serving_layer.api.parsing import Page
from serving_layer.http_semantics.problems import Problem
from serving_layer.index.ranking import Ranked
from serving_layer.model.served_model import ServedModel
from serving_layer.queries.batch_body import BODY, asked_of
from serving_layer.queries.lookups import user_query
from serving_layer.queries.ranked_answers import ranked_items
from serving_layer.queries.read_your_writes import take_model
from serving_layer.requests import app_keys
from serving_layer.rescoring.applying import RescorerFailed
from serving_layer.search.batch_search import Wish, best_of_each

__all__ = ["recommend_to_each"]

log = structlog.get_logger("serving")

_NOTHING = np.empty(0, np.int64)
_TIMEOUTS: Final = 3
"""Of a request's users, after which no more are tried: where a plug-in hangs, each takes its whole time."""


@operation("POST", "/recommend", tag="Recommend", paced=True, body=BODY)
async def recommend_to_each(
    request: web.Request,
    paging: Paging,
    consider_known_items: ConsiderKnownItems = False,
    rescorer_params: RescorerParams = (),
    recall: Recall = None,  # noqa: ARG001
    after: After = {},  # noqa: B006
) -> EachScored:
    """The best items for each of many users.

    Each list is what `GET /recommend/{user}` answers, at a fraction of its cost. In the order of the users, streamed;
    one who is unknown, or has no vector yet, gets the reason in place of the list.
    """
    asked = await asked_of(request)
    page = asked.paging(paging)
    known_too = consider_known_items if asked.consider_known_items is None else asked.consider_known_items
    params = rescorer_params if asked.rescorer_params is None else tuple(asked.rescorer_params)
    model = await take_model(request, after)
    if request.app[app_keys.PLUGINS].concern("recommend"):
        return EachScored(_rescored(request, model, asked.users, page, params, known_too=known_too))
    return EachScored(_blocks(request, model, asked.users, page, known_too=known_too))


async def _rescored(
    request: web.Request, model: ServedModel, users: list[str], page: Page, params: Sequence[str], *, known_too: bool
) -> AsyncIterator[Block]:
    """Answer one by one: a plug-in may give every user another rescorer, and may fail for some of them."""
    limit_ms = request.app[app_keys.API].request_timeout_ms
    timeouts, failed = 0, False
    for user in users:
        found: Scored | Problem
        try:
            wish = _wish(model, user, known_too=known_too)
            if timeouts >= _TIMEOUTS:
                raise Problem.unavailable(f"not tried: {timeouts} users before took more than {limit_ms} ms each")
            async with asyncio.timeout(limit_ms / 1000):
                rescoring = await request.app[app_keys.PLUGINS].rescoring("recommend", [user], params)
                found = await ranked_items(request, model, wish.query, wish.excluded, page, rescoring)
        except Problem as refusal:
            found = refusal
        except RescorerFailed as error:
            # One traceback of up to ten thousand.
            cause = None if failed else error
            failed = True
            log.error(
                "rescorer_failed", request_id=request[app_keys.REQUEST_ID], user=user, reason=str(error), exc_info=cause
            )
            found = Problem(
                HTTPStatus.INTERNAL_SERVER_ERROR, "a rescorer failed; the log has more under the request's ID"
            )
        except TimeoutError:
            timeouts += 1
            log.warning("rescorer_too_slow", request_id=request[app_keys.REQUEST_ID], user=user, limit_ms=limit_ms)
            found = Problem.unavailable(f"this was not done within {limit_ms} ms")
        yield [(user, found)]


async def _blocks(
    request: web.Request, model: ServedModel, users: list[str], page: Page, *, known_too: bool
) -> AsyncIterator[Block]:
    app, limit_ms = request.app, request.app[app_keys.API].request_timeout_ms
    begun: deque[tuple[str, Problem | None]] = deque()

    def wishes() -> Iterator[Wish | None]:
        for user in users:
            try:
                wish = _wish(model, user, known_too=known_too)
            except Problem as unknown:
                begun.append((user, unknown))
                yield None
            else:
                begun.append((user, None))
                yield wish

    async with aclosing(best_of_each(model, wishes(), page.want, app[app_keys.POOL])) as found:
        answered = False
        while True:
            async with app[app_keys.BATCHES].turn(begun=answered, limit_s=limit_ms / 1000):
                try:
                    async with asyncio.timeout(limit_ms / 1000):
                        answers = await anext(found, None)
                except TimeoutError:
                    raise Problem.unavailable(f"this was not done within {limit_ms} ms") from None
            if answers is None:
                return
            answered = True
            yield list(_named(model, [(*begun.popleft(), answer) for answer in answers], page.offset))


def _wish(model: ServedModel, user: str, *, known_too: bool) -> Wish:
    handle, query = user_query(model, user)
    return Wish(query, _NOTHING if known_too else model.state.history(handle)[0])


def _named(
    model: ServedModel, answers: Sequence[tuple[str, Problem | None, Ranked | None]], offset: int
) -> Iterator[tuple[str, Scored | Problem]]:
    """Give the items their IDs, all at once: one by one, this would cost as much as all else but the search."""
    lists = [best.handles[offset:] for _, _, best in answers if best is not None]
    names = model.state.items.ids(np.concatenate(lists or [_NOTHING]))
    at = 0
    for user, unknown, best in answers:
        if best is None:
            assert unknown is not None, "each wish has an answer"
            yield user, unknown
        else:
            scores = best.scores[offset:]
            yield user, Scored(names[at : at + len(scores)], scores)
            at += len(scores)
