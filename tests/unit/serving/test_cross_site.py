"""No page of another site writes; everybody else does. And what is said of a read that took too long."""

import asyncio

import pytest

from tests.support.serving import FixedModels, Harness, RecordingSender

OWN = "127.0.0.1:8080"


@pytest.mark.parametrize("path", ["/pref/u/i", "/ingest"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 204),
        ({"Origin": f"http://{OWN}"}, 204),
        ({"Origin": f"http://{OWN}", "Sec-Fetch-Site": "same-origin"}, 204),
        ({"Origin": "https://outside.example", "Sec-Fetch-Site": "same-origin"}, 204),
        ({"Sec-Fetch-Site": "none"}, 204),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": f"http://{OWN}", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:9090", "Sec-Fetch-Site": "same-site"}, 403),
    ],
)
async def test_only_pages_of_this_service_write(harness, client, path, headers, status):
    async with client.post(path, data=b"u,i", headers={"Host": OWN, "Content-Type": "text/csv", **headers}) as response:
        if path == "/pref/u/i" and status == 204:
            assert response.status == 400  # which has looked into the body
        else:
            assert response.status == status
        if status == 403:
            assert "another site" in (await response.json(content_type=None))["detail"]
    assert len(harness.sender.sent) == (path == "/ingest" and status == 204)


async def test_reads_are_for_every_page(client):
    async with client.get("/recommend/ann", headers={"Sec-Fetch-Site": "cross-site"}) as response:
        assert response.status == 200


@pytest.mark.parametrize(("method", "path", "may_be"), [("GET", "/recommend/ann", False), ("POST", "/pref/u/i", True)])
async def test_only_of_a_write_it_is_said_that_it_may_be_stored(model, monkeypatch, method, path, may_be):
    async def never(*_, **__):
        await asyncio.Event().wait()

    sender = RecordingSender()
    sender.send = never
    monkeypatch.setattr("serving_layer.handlers.recommend.ranked_items", never)
    async with Harness(FixedModels(model), sender, request_timeout_ms=50) as client:
        response = await client.request(method, path)
        assert response.status == 503
        assert ("may be stored" in (await response.json(content_type=None))["detail"]) == may_be
