"""What bodies take of the memory that they share."""

import pytest

from serving_layer.http_semantics.byte_budget import ByteBudget
from serving_layer.http_semantics.problems import Problem
from serving_layer.http_semantics.request_bodies import body_of
from serving_layer.requests import app_keys

SMALL = 65_536


class Sent:
    """A request with a body in pieces."""

    content_length = None
    headers: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, *pieces):
        self._pieces = [*pieces, b""]
        self.content = self

    async def readany(self):
        return self._pieces.pop(0)


def read(budget, *pieces):
    return body_of(Sent(*pieces), max_bytes=10**6, max_inflated_bytes=10**6, budget=budget)


async def test_a_small_body_is_read_however_much_the_large_ones_take():
    budget = ByteBudget(0)
    async with read(budget, b"x" * (SMALL - 1), b"x") as body:
        assert len(body) == SMALL


async def test_a_large_body_takes_all_of_its_size_and_gives_it_back():
    budget = ByteBudget(SMALL + 1)
    async with read(budget, b"x" * SMALL, b"x"):
        with pytest.raises(Problem) as refused:
            budget.take(1)
        assert refused.value.status == 429
    budget.take(SMALL + 1)
    budget.give(SMALL + 1)
    with pytest.raises(Problem):
        async with read(budget, b"x" * SMALL, b"xx"):
            pass
    budget.take(SMALL + 1)


async def test_a_preference_is_stored_while_large_bodies_are_read(harness, client):
    harness.app[app_keys.BODY_BUDGET].take(harness.app[app_keys.BODY_BUDGET]._left)
    async with client.post("/pref/u/i", data=b"2") as response:
        assert response.status == 204
