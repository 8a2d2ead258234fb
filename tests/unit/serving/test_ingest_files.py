"""Files in a bulk write: their content arrives whole, or the write is refused with the reason; no archive does harm."""

import gzip
import io
import json
import random
import zipfile

import pytest

from tests.support.serving import FixedModels, Harness

BOUNDARY = "b0undary"
HURTING = ["a/b", 'ü,"x"', "%2F", " ", "x" * 1024, "=", "[a", "\u2028"]


@pytest.fixture
def harness():
    return Harness(FixedModels(), max_ingest_bytes=300_000)


def part(content, name="", kind="", **headers):
    lines = [f'Content-Disposition: form-data; name="f"; filename="{name}"' if name else "X-Nothing: said"]
    lines += [f"Content-Type: {kind}"] if kind else []
    lines += [f"{header.replace('_', '-')}: {value}" for header, value in headers.items()]
    return f"--{BOUNDARY}\r\n".encode() + "\r\n".join(lines).encode() + b"\r\n\r\n" + content + b"\r\n"


async def post(client, *parts, status=204, closed=True, **headers):
    body = b"".join(parts) + (f"--{BOUNDARY}--\r\n".encode() if closed else b"")
    kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    async with client.post("/ingest", data=body, headers=kind | headers) as answer:
        assert answer.status == status, await answer.text()
        return "" if status == 204 else (await answer.json(content_type=None))["detail"]


def zipped(files, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def stored(harness):
    return [record.value.decode() for record in harness.sender.sent]


def quoted(text):
    return '"' + text.replace('"', '""') + '"'


def csv_of(pairs):
    return "".join(f"{quoted(user)},{quoted(item)},1,5\r\n" for user, item in pairs).encode()


PAIRS = [(user, item) for user in HURTING for item in HURTING]
OBJECTS = [{"user": user, "item": item, "strength": 1, "timestamp": 5} for user, item in PAIRS]


@pytest.mark.parametrize(
    ("name", "kind", "content"),
    [
        ("", "", csv_of(PAIRS)),
        ("a.csv", "application/vnd.ms-excel", b"\xef\xbb\xbf" + csv_of(PAIRS)),
        ("a.json", "application/octet-stream", json.dumps(OBJECTS).encode()),
        ("no-ending", "application/json", json.dumps(OBJECTS).encode()),
        ("a.jsonl", "", "\n".join(map(json.dumps, OBJECTS)).encode()),
        ("a.csv.gz", "application/gzip", gzip.compress(csv_of(PAIRS))),
        ("a", "text/csv", gzip.compress(csv_of(PAIRS[:9])) + gzip.compress(csv_of(PAIRS[9:]))),
        ("a.ndjson.gz", "", gzip.compress("\n".join(map(json.dumps, OBJECTS)).encode())),
        ("a.zip", "application/zip", zipped({"x/a.csv": csv_of(PAIRS[:5]), "b.json": json.dumps(OBJECTS[5:])})),
        ("wrong.csv", "text/csv", zipped({"a.txt": csv_of(PAIRS)}, zipfile.ZIP_STORED)),
        ("mac.zip", "", zipped({"d/": "", "a.csv": csv_of(PAIRS), "__MACOSX/._a.csv": b"\x00\x05"})),
    ],
)
async def test_every_line_of_a_file_is_stored_under_its_ids(harness, client, name, kind, content):
    await post(client, part(content, name, kind))
    assert [(r.key.decode(), r.value) for r in harness.sender.sent] == [
        (user, value.encode()) for (user, item) in PAIRS for value in [f"{field(user)},{field(item)},1,5"]
    ]


def field(text):
    return quoted(text) if '"' in text or "," in text or text.startswith("[") else text


async def test_parts_are_stored_in_their_order_and_their_lines_numbered_through(harness, client):
    archive = zipped({"1.csv": "c,1,1,5\n\nc,2,1,5", "2.csv": "d,1,1,5\n"})
    parts = [part(b"a,1,1,5\n"), part(gzip.compress(b"b,1,1,5")), part(b""), part(archive), part(b"e,1,1,5")]
    await post(client, *parts, **{"Idempotency-Key": "k"})
    assert stored(harness) == [f"{name},1,5" for name in ("a,1", "b,1", "c,1", "c,2", "d,1", "e,1")]
    assert [dict(r.headers)["id"] for r in harness.sender.sent] == [b"k:1", b"k:2", b"k:3", b"k:5", b"k:6", b"k:7"]


async def test_a_packed_body_that_does_not_say_so_is_refused_with_the_header_that_it_needs(harness, client):
    plain = {"Content-Type": "text/plain"}
    response = await client.post("/ingest", data=gzip.compress(b"ann,i1,1\n"), headers=plain)
    assert response.status == 400
    detail = (await response.json(content_type=None))["detail"]
    assert detail.endswith("a body that is gzip needs the header Content-Encoding: gzip")
    assert stored(harness) == []
    response = await client.post("/ingest", data=b"ann\n", headers=plain)
    assert "gzip" not in (await response.json(content_type=None))["detail"]


async def test_bad_lines_are_named_with_their_file(harness, client):
    archive = zipped({"a.csv": "u,i\nbad", "b.json": '[{"user":"u"}]'})
    detail = await post(client, part(b"u,i\n"), part(b"bad\n"), part(archive), status=400)
    assert detail == (
        "nothing was stored. part 2, line 1: a single field, not user,item,strength,timestamp,kind; "
        "part 3, 'a.csv', line 2: a single field, not user,item,strength,timestamp,kind; "
        "part 3, 'b.json', object 1: item is missing"
    )
    assert stored(harness) == []


def encrypted():
    data = bytearray(zipped({"a.csv": "u,i"}))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + flags] |= 1
    return bytes(data)


def broken_checksum():
    data = bytearray(zipped({"a.csv": "u,i,1\n" * 10}, zipfile.ZIP_STORED))
    data[data.index(b"u,i")] = ord("v")
    return bytes(data)


@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [
        (encrypted(), 400, "part 1, 'a.csv' cannot be read: it is encrypted"),
        (zipped({"a.csv": "u,i"})[:-1], 400, "part 1 cannot be read: it is damaged, or no zip archive"),
        (zipped({"a.csv": "u,i"})[:20], 400, "part 1 cannot be read: it is damaged, or no zip archive"),
        (broken_checksum(), 400, "part 1, 'a.csv' cannot be read: it is damaged"),
        (zipped({"a.csv": "u,i" * 99}, zipfile.ZIP_LZMA), 400, "compressed by another method than deflate"),
        (zipped({"a.csv": "u,i" * 99}, zipfile.ZIP_BZIP2), 400, "compressed by another method than deflate"),
        (zipped({"a.zip": zipped({"a.csv": "u,i"})}), 400, "part 1, 'a.zip', is an archive in an archive: unpack it"),
        (zipped({"a.gz": gzip.compress(b"u,i")}), 400, "is an archive in an archive"),
        (gzip.compress(gzip.compress(b"u,i")), 400, "part 1, is an archive in an archive"),
        (gzip.compress(zipped({"a.csv": "u,i"})), 400, "part 1, is an archive in an archive"),
        (gzip.compress(b"u,i\n" * 9)[:-4], 400, "part 1 is not whole gzip: it ends too early"),
        (gzip.compress(b"u,i\n" * 10_000_000), 413, "more than 300000 bytes"),
        (zipped({"a.csv": b"u,i\n" * 10_000_000}), 413, "more than 300000 bytes"),
        (zipped({f"{n}.csv": b"u,i\n" * 3_000 for n in range(30)}), 413, "more than 300000 bytes"),
        (zipped({f"{n}.csv": b"" for n in range(1_001)}), 400, "it has more than 1000 files"),
        (zipped({f"{'x' * 60_000}{n}": b"" for n in range(20)}), 413, "more than 300000 bytes"),
        (b"PK\x05\x06" + bytes(18), 204, ""),
    ],
)
async def test_archives_that_are_damaged_hidden_or_bombs_are_refused(harness, client, content, status, reason):
    detail = await post(client, part(content), status=status)
    assert reason in detail
    assert stored(harness) == []


async def test_a_directory_larger_than_any_archive_needs_is_not_read():
    async with Harness(FixedModels(), max_ingest_bytes=50_000_000) as client:
        detail = await post(client, part(zipped({f"{'x' * 60_000}{n}": b"" for n in range(20)})), status=400)
    assert "its directory is too large" in detail


async def test_no_damage_to_an_archive_is_more_than_a_refusal(harness, client):
    """Seeded: bytes changed, cut out and doubled, wherever they are."""
    rng = random.Random(7)
    archives = [
        zipped({"a.csv": "u,i\n" * 20, "b.csv": "v,i"}),
        gzip.compress(b"u,i\n" * 50),
        zipped({"a.csv": "u,i"}, 0),
    ]
    for _ in range(300):
        data = bytearray(rng.choice(archives))
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(4, len(data))
            match rng.randrange(4):
                case 0:
                    data[at] = rng.choice([0, 1, 0xFF, rng.randrange(256)])
                case 1:
                    del data[at : at + rng.randint(1, 20)]
                case 2:
                    data[at:at] = data[at : at + 10]
                case _:
                    data[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"])
            data += b"    "
        body = part(bytes(data)) + f"--{BOUNDARY}--".encode()
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        async with client.post("/ingest", data=body, headers={"Content-Type": kind}) as answer:
            assert answer.status in {204, 400, 413}, await answer.text()


@pytest.mark.parametrize(
    ("parts", "status", "reason"),
    [
        ([part(b"x", kind="image/png")], 415, "a part's Content-Type must be one of lines, JSON, gzip or zip"),
        ([part(b"u,i", kind="text/csv; charset=latin-1")], 415, "the charset must be utf-8"),
        ([part(b"u,i", Content_Transfer_Encoding="base64")], 415, "may be encoded by gzip alone, not 'base64'"),
        ([part(b"u,i", kind="multipart/mixed; boundary=x")], 415, "part 1 has parts itself"),
        ([part(b"u,i", X="y" * 9000)], 400, "a part's headers have more than 8192 bytes"),
        ([part(b"")] * 1001, 400, "more than 1000 parts"),
        ([b"u,i"], 400, "it ends before the first boundary"),
    ],
)
async def test_parts_that_are_something_else_are_refused(harness, client, parts, status, reason):
    assert reason in await post(client, *parts, status=status, closed=len(parts[0]) > 3)
    assert stored(harness) == []


async def test_a_body_that_ends_within_a_part_is_refused(harness, client):
    assert "it ends in a part" in await post(client, part(b"u,i"), closed=False, status=400)
    assert stored(harness) == []


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=", 'multipart/x; boundary="ü"'])
async def test_a_boundary_must_be_named(client, kind):
    async with client.post("/ingest", data=b"u,i", headers={"Content-Type": kind}) as answer:
        assert answer.status == 400
        assert "name the boundary" in (await answer.json(content_type=None))["detail"]


async def test_what_aiohttp_and_browsers_send_is_read(harness, client):
    import aiohttp

    form = aiohttp.FormData()
    form.add_field(
        "data", io.BytesIO(gzip.compress(b"u,i,1,5\n")), filename="ü.csv.gz", content_type="application/gzip"
    )
    form.add_field("more", "v,j,1,5")
    async with client.post("/ingest", data=form) as answer:
        assert answer.status == 204
    assert stored(harness) == ["u,i,1,5", "v,j,1,5"]


async def test_a_whole_multipart_body_may_be_compressed(harness, client):
    body = gzip.compress(part(b"u,i,1,5") + f"--{BOUNDARY}--".encode())
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Content-Encoding": "gzip"}
    async with client.post("/ingest", data=body, headers=headers) as answer:
        assert answer.status == 204
    assert stored(harness) == ["u,i,1,5"]
