"""The short way to an endpoint leads where aiohttp's router would have led."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from serving_layer.requests.routing import dispatching
from tests.support.serving import FixedModels, Harness

PATHS = [
    "/recommend/ann",
    "/recommend/ann?howMany=1",
    "/recommend/u%2F%C3%B1%3D",
    "/recommend/nobody",
    "/recommend/",
    "/recommend",
    "/recommend/ann/more",
    "//recommend/ann",
    "/recommend//ann",
    "/%72ecommend/ann",
    "/recommendToMany/ann/bob",
    "/estimate/ann/a/b/c",
    "/estimate/ann",
    "/recommendWithContext/ann",
    "/recommendWithContext/ann/a=2",
    "/because/ann/a",
    "/because/ann/a/b",
    "/user/allIDs",
    "/user/allIDs/",
    "/user/allIDs?more",
    "/user%2FallIDs",
    "/ingest",
    "/ready",
    "/openapi.json",
    "/user/ann",
    "/item/allIDs",
    "/mostPopularItems",
    "/nothing/at/all",
    "/",
    "http://elsewhere/recommend/ann",
    "/knownItems/..",
    "/knownItems/ann#fragment",
]
SHORT = {
    "/recommend/ann",
    "/estimate/ann/a/b/c",
    "/recommendWithContext/ann/a=2",
    "/because/ann/a",
    "/mostPopularItems",
}


def told_by(response):
    """Headers but for the time, which may have gone on."""
    return {name: value for name, value in response.headers.items() if name != "Date"}


@pytest.mark.parametrize("root", ["", "/api", "/a/b"])
async def test_both_ways_give_the_same_answer(model, root):
    harness = Harness(FixedModels(model), context_path=root or "/")
    async with harness:
        app = harness.app
        asked_otherwise = set()

        async def otherwise(request):
            asked_otherwise.add((request.method, request.raw_path))
            return await app._handle(request)

        dispatch = dispatching(app, otherwise)
        for method in ("GET", "HEAD", "PUT"):
            for path in PATHS:
                target = path if path.startswith("http") else root + path
                straight = await dispatch(make_mocked_request(method, target, app=app))
                usual = await app._handle(make_mocked_request(method, target, app=app))
                assert (straight.status, told_by(straight)) == (usual.status, told_by(usual)), (method, target)
                if not straight.prepared:
                    assert straight.body == usual.body, (method, target)
        assert not {("GET", root + path) for path in SHORT} & asked_otherwise
        assert ("GET", f"{root}/because/ann/a/b") in asked_otherwise


async def test_what_expects_more_goes_the_usual_way(model):
    harness = Harness(FixedModels(model))
    async with harness:
        asked = []

        async def otherwise(request):
            asked.append(request.raw_path)
            return await harness.app._handle(request)

        request = make_mocked_request("GET", "/recommend/ann", {"Expect": "nonsense"}, app=harness.app)
        with pytest.raises(web.HTTPExpectationFailed):
            await dispatching(harness.app, otherwise)(request)
        assert asked == ["/recommend/ann"]
