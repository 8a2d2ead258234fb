"""What requests may ask, and how they are refused: never a 500, whatever is sent."""

import asyncio
import json
import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving_layer.api.path_segments import item_and_strength
from serving_layer.http_semantics.content_negotiation import _choose
from serving_layer.http_semantics.problems import Problem
from serving_layer.requests.request_ids import sent_id


async def raw(client, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes as they are and read one answer."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    try:
        writer.write(request)
        await writer.drain()
        answer = await asyncio.wait_for(reader.read(-1), 10)
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    return int(status.split()[1]), dict(line.split(": ", 1) for line in lines), body


def get(path: bytes, headers: bytes = b"") -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + headers + b"\r\n"


BAD_IDS = {
    b"%ff": "user is not UTF-8: '%ff'",
    b"%C3": "user is not UTF-8: '%C3'",
    b"%ED%A0%80": "user is not UTF-8: '%ED%A0%80'",
    b"%zz": "user has '%zz', which is no percent-encoding: write % as %25",
    b"100%": "user has '%', which is no percent-encoding: write % as %25",
    b"%00": "user has the control character U+0000",
    b"a%0Ab": "user has the control character U+000A",
    b"a%0D%0AX-Evil:%201": "user has the control character U+000D",
    b"%C2%85": "user has the control character U+0085",
    b"": "user is empty",
    b"x" * 1025: "user has 1025 bytes, at most 1024 are allowed",
    b"%C3%A4" * 513: "user has 1026 bytes, at most 1024 are allowed",
}


@pytest.mark.parametrize("sent", BAD_IDS, ids=lambda sent: repr(sent[:20]))
async def test_an_id_that_breaks_the_rule_is_refused_by_name(client, sent):
    status, headers, body = await raw(client, get(b"/recommend/" + sent))
    assert status == 400
    assert headers["Content-Type"] == "application/problem+json"
    assert json.loads(body)["detail"] == BAD_IDS[sent]


async def test_the_longest_id_is_an_unknown_user(client):
    for sent in (b"x" * 1024, b"%C3%A4" * 512, b"%2F" * 1024):
        assert (await raw(client, get(b"/recommend/" + sent)))[0] == 404


@pytest.mark.parametrize("path", [b"/knownItems/..", b"/knownItems/.", b"/knownItems/%2E%2E", b"/knownItems/%252F"])
async def test_ids_are_never_normalised(client, path):
    status, _, body = await raw(client, get(path))
    assert (status, body) == (200, b"[]")


async def test_bytes_in_a_path_that_should_have_been_encoded(client):
    status, _, _ = await raw(client, get("/knownItems/ä".encode()))
    assert status in {200, 400}
    status, _, _ = await raw(client, get(b"/knownItems/\xff\xfe"))
    assert status == 400


async def test_the_absolute_form_of_a_path_is_understood(client):
    status, _, body = await raw(client, get(b"http://elsewhere/knownItems/bob"))
    assert (status, body) == (200, b'["c"]')


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("howMany=0", "howMany must be a whole number, 1 to 100000, not '0'"),
        ("howMany=-1", "howMany must be a whole number, 1 to 100000, not '-1'"),
        ("howMany=ten", "howMany must be a whole number, 1 to 100000, not 'ten'"),
        ("howMany=1e3", "howMany must be a whole number, 1 to 100000, not '1e3'"),
        ("howMany=", "howMany must be a whole number, 1 to 100000, not ''"),
        ("howMany=%D9%A1", "howMany must be a whole number, 1 to 100000, not '١'"),
        ("howMany=100001", "howMany must be a whole number, 1 to 100000, not '100001'"),
        ("howMany=1&howMany=2", "howMany is there 2 times"),
        ("offset=-1", "offset must be a whole number, 0 to 100000, not '-1'"),
        ("howMany=60000&offset=40001", "howMany and offset must not exceed 100000 together"),
        ("considerKnownItems=maybe", "considerKnownItems must be true or false, not 'maybe'"),
        ("recall=0.9", "recall must be exact or left out, not '0.9'"),
        ("after=", "after must be partition:offset,…, not ''"),
        ("after=0:1,", "after must be partition:offset,…, not ''"),
        ("after=1", "after must be partition:offset,…, not '1'"),
        ("after=0:-1", "after must be partition:offset,…, not '0:-1'"),
        ("after=7:1", "after names partition 7, the input topic has 2 from 0"),
        ("howMany=%ff%00", "howMany must be a whole number, 1 to 100000, not"),
    ],
)
async def test_an_argument_out_of_range_is_named(client, query, detail):
    response = await client.get(f"/recommend/ann?{query}")
    assert response.status == 400
    assert (await response.json(content_type=None))["detail"].startswith(detail)


async def test_the_largest_page_is_answered(client):
    response = await client.get("/recommend/ann?howMany=100000&considerKnownItems=TRUE&recall=exact&unheard=of")
    assert len(await response.json()) == 6


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("POST", "/", 405),
        ("GET", "/recommend", 405),
        ("GET", "/recommend/ann/more", 404),
        ("GET", "/because/ann", 404),
        ("GET", "/estimate/ann", 404),
        ("GET", "/mostPopularItems/x", 404),
        ("POST", "/recommend/ann", 405),
        ("GET", "/ingest", 405),
        ("DELETE", "/ingest", 405),
        ("PATCH", "/ready", 405),
    ],
)
async def test_paths_and_methods_that_do_not_exist(client, method, path, status):
    response = await client.request(method, path)
    assert response.status == status
    assert response.content_type == "application/problem+json"
    assert (await response.json(content_type=None))["status"] == status
    assert ("Allow" in response.headers) == (status == 405)


@pytest.mark.parametrize(
    "accept",
    ["text/html", "application/xml, image/*;q=0.5", "application/json;q=0, text/csv;q=0", "*/*;q=0", "rubbish"],
)
async def test_an_accept_without_json_or_csv_is_refused(client, accept):
    response = await client.get("/recommend/ann", headers={"Accept": accept})
    assert response.status == 406
    assert response.content_type == "application/problem+json"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("application/*", "json"),
        ("text/*", "csv"),
        ("text/csv", "csv"),
        ("TEXT/CSV", "csv"),
        ("application/json, text/plain, */*", "json"),
        ("text/plain, application/json", "csv"),
        ("application/json;q=0.1, */*", "csv"),
        ("application/json;q=0.5, text/csv;q=0.9", "csv"),
        ("text/csv;q=0.5, application/json;q=0.9", "json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "json"),
        ("*/*;q=0.1, text/*;q=0", "json"),
        ("text/csv;header=present;q=0.8, application/json;q=0.7", "csv"),
        ("application/json;q=nonsense, text/csv;q=0.1", "csv"),
    ],
)
def test_weights_decide_then_precision_then_order(accept, kind):
    chosen = _choose(accept, "json")
    assert chosen is not None
    assert chosen.kind == kind


def test_without_a_preference_the_default_is_taken():
    assert _choose("*/*", "csv").kind == "csv"
    assert _choose("", "csv").media_type == "text/csv; charset=utf-8"


@pytest.mark.parametrize(
    ("segment", "item", "strength"),
    [
        ("a", "a", 1.0),
        ("a=2.5", "a", 2.5),
        ("a=-1e-3", "a", -0.001),
        ("a=.5", "a", 0.5),
        ("a=5.", "a", 5.0),
        ("a=b=2", "a=b", 2.0),
        ("a=b", "a=b", 1.0),
        ("a=2=b", "a=2=b", 1.0),
        ("a=", "a=", 1.0),
        ("a%3D2", "a=2", 1.0),
        ("a%3D2=3", "a=2", 3.0),
        ("a=%32", "a", 2.0),
        ("a=nan", "a=nan", 1.0),
        ("a=inf", "a=inf", 1.0),
        ("a=1e999", "a=1e999", 1.0),
        ("a=1_0", "a=1_0", 1.0),
        ("a=+7", "a", 7.0),
        ("a= 7", "a= 7", 1.0),
        ("a+b", "a+b", 1.0),
    ],
)
def test_the_last_unescaped_equals_sign_before_a_finite_number_parts_item_and_strength(segment, item, strength):
    assert item_and_strength(segment) == (item, strength)


def test_an_empty_item_with_a_strength_is_refused():
    with pytest.raises(Problem, match="item is empty"):
        item_and_strength("=2")


@given(st.text(min_size=1, max_size=50), st.floats(allow_nan=False, allow_infinity=False))
def test_every_item_and_strength_survives_the_path(item, strength):
    try:
        found = item_and_strength(f"{quote(item, safe='')}={strength!r}")
    except Problem as refused:
        refusal = refused.detail
        assert re.search("control character|surrogate|bytes", refusal)
    else:
        assert found == (item, strength)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (None, ""),
        ("", ""),
        ("abc-1", "abc-1"),
        ("a\r\nX-Evil: 1", "aX-Evil:1"),
        ("ä\x00\x7f\udcff", ""),
        ("x" * 1000, "x" * 128),
    ],
)
def test_a_request_id_is_echoed_as_far_as_it_may_stand_in_a_header(sent, kept):
    assert sent_id(sent) == kept


async def test_bytes_in_a_request_id_do_no_harm(client):
    status, headers, _ = await raw(client, get(b"/ready", b"X-Request-Id: \xff\xfea\tb\xc3\xa4\r\n"))
    assert status == 200
    assert headers["X-Request-Id"] == "ab"


@pytest.mark.parametrize(
    "request_bytes",
    [
        get(b"/ready", b"X: " + b"y" * 100_000 + b"\r\n"),
        get(b"/" + b"y" * 100_000),
        get(b"/ready", b"Accept: " + b"a" * 8000 + b"\r\n"),
        get(b"/recommend/ann?howMany=\xff\xfe"),
        get(b"/recommend/ann?" + b"&" * 5000),
        get(b"/recommend/ann?after=" + b"0:1," * 3000),
        get(b"/recommend/ann", b"Accept: \xff\xfe/\xff\r\n"),
        get(b"/recommend/ann", b"Accept-Encoding: \xff;q=\xfe\r\n"),
        get(b"/similarity" + b"/a" * 3000),
        get(b"/recommendToAnonymous" + b"/a=1e308" * 1000),
        get(b"/%"),
        get(b"//"),
        get(b"/recommend/ann#fragment"),
        get(b"*"),
        b"GARBAGE\r\n\r\n",
        b"\x00\x01\x02\r\n\r\n",
        b"GET /ready HTTP/9.9\r\n\r\n",
    ],
    ids=lambda request_bytes: repr(request_bytes[:40]),
)
async def test_hostile_requests_are_no_500_and_the_service_goes_on(client, request_bytes):
    status, _, _ = await raw(client, request_bytes)
    assert status != 500
    assert (await client.get("/ready")).status == 200
