"""A small world whose numbers can be checked by hand."""

import pytest

from tests.support.serving import ITEMS, PAIRS, USERS, FixedModels, Harness, model_at, write_world


@pytest.fixture
def model(tmp_path):
    return model_at(write_world(tmp_path / "g", "gen-1", PAIRS, USERS, ITEMS, covers={0: 10, 1: 20}), epoch=3)


@pytest.fixture
def harness(model):
    return Harness(FixedModels(model))


@pytest.fixture
async def client(harness):
    async with harness as client:
        yield client
