"""Large bulk writes wait on disk, within bounds, leave nothing behind, and hold nobody up."""

import asyncio
import errno
import io
import os
import threading
from types import SimpleNamespace

import psutil
import pytest

from oryx_py.errors import ConfigError, StoreUnavailable
from oryx_py.ports import Delivery
from serving_layer.http_semantics.problems import Problem
from serving_layer.http_semantics.request_bodies import BodyPace
from serving_layer.ingestion.spool import Spool, SpoolPlace
from serving_layer.requests import app_keys
from tests.support.polling import until
from tests.support.serving import FixedModels, Harness, RecordingSender

LINES = [f"user-{n % 997},item-{n},2.5,1700000000000" for n in range(40_000)]
BODY = "\n".join(LINES).encode()
CSV = {"Content-Type": "text/csv"}


def left(harness):
    return harness.app[app_keys.SPOOLS].budget._left


async def test_a_large_body_is_stored_in_its_order_and_has_no_name_on_the_disk(tmp_path):
    seen = []

    class Looking(RecordingSender):
        async def send_many(self, records):
            seen.extend(tmp_path.iterdir())
            return await super().send_many(records)

    harness = Harness(FixedModels(), Looking(), spool_dir=str(tmp_path))
    async with harness as client:
        before = left(harness)
        async with client.post("/ingest", data=BODY, headers=CSV) as answer:
            assert answer.status == 204
        assert left(harness) == before
    assert [record.value.decode() for record in harness.sender.sent] == LINES
    assert seen == []


async def test_memory_does_not_grow_with_the_body():
    """Of 40 MB less than half is ever there, with what the test itself takes to send them."""
    process = psutil.Process()
    highest = 0

    class Forgetting(RecordingSender):
        async def send_many(self, records):
            nonlocal highest
            highest = max(highest, process.memory_info().rss)
            return [Delivery(0, 0)] * len(records)

    async def blocks():
        for number in range(40):
            yield b"".join(
                b"user-%03d-%05d,item-%07d,2.5,1700000000000,%048d\n" % (number, n, n, n) for n in range(11_500)
            )

    async with Harness(FixedModels(), Forgetting()) as client:
        await client.post("/ingest", data=BODY, headers=CSV)
        before = process.memory_info().rss
        async with client.post("/ingest", data=blocks(), headers=CSV) as answer:
            assert answer.status == 204
    assert highest - before < 20_000_000


async def test_between_its_slices_others_have_their_turn():
    harness = Harness(FixedModels())
    turns = 0

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with harness as client:
        counting = asyncio.create_task(count())
        async with client.post("/ingest", data=BODY, headers=CSV) as answer:
            assert answer.status == 204
        counting.cancel()
    assert turns > len(BODY) / 65_536 + len(LINES) / 500


@pytest.mark.parametrize("line", [b"onlyone\n", b"u,i\nonlyone\n"])
async def test_a_body_that_is_nothing_but_wrong_is_not_read_to_its_end(client, line):
    """Each bad line costs more than a good one."""
    async with client.post("/ingest", data=line * 300_000, headers=CSV) as answer:
        detail = (await answer.json(content_type=None))["detail"]
        assert answer.status == 400
    named, _, more = detail.rpartition("; and at least ")
    assert named.count("; line ") == 19
    assert 99_980 <= int(more.removesuffix(" more")) < 102_000


async def test_bulk_writes_side_by_side_are_stored_each_in_its_order_and_leave_room_for_single_writes():
    busy = most = 0

    class Busy(RecordingSender):
        async def send_many(self, records):
            nonlocal busy, most
            busy += 1
            most = max(most, busy)
            await asyncio.sleep(0.01)
            busy -= 1
            return await super().send_many(records)

    harness = Harness(FixedModels(), Busy())

    async def write(client, user):
        body = "".join(f"{user},{n}\n" for n in range(1_200))
        async with client.post("/ingest", data=body, headers=CSV) as answer:
            assert answer.status == 204

    async with harness as client:
        await asyncio.gather(*(write(client, user) for user in range(80)))
    items = {}
    for record in harness.sender.sent:
        items.setdefault(record.key, []).append(int(record.value.split(b",")[1]))
    assert len(items) == 80
    assert all(found == list(range(1_200)) for found in items.values())
    assert 1 < most <= 64


async def test_a_full_disk_is_a_503_that_says_so_and_everything_goes_on(client, harness):
    harness.app[app_keys.SPOOLS]._open_file = lambda _: io.FileIO("/dev/full", "r+")
    async with client.post("/ingest", data=BODY, headers=CSV) as answer:
        problem = await answer.json(content_type=None)
        assert (answer.status, problem["accepted"]) == (503, 0)
        assert answer.headers["Retry-After"]
    assert "No space left on device; nothing was stored" in problem["detail"]
    assert harness.sender.sent == []
    assert left(harness) == 8 * 1024**3
    assert (await client.post("/ingest", data=b"u,i", headers=CSV)).status == 204, "small ones need no disk"


async def test_a_disk_that_fails_while_it_is_read_tells_what_was_stored(client, harness):
    class Failing(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > 300_000:
                raise OSError(errno.EIO, "Input/output error")
            return super().read(size)

    harness.app[app_keys.SPOOLS]._open_file = lambda _: Failing()
    async with client.post("/ingest", data=BODY, headers=CSV) as answer:
        problem = await answer.json(content_type=None)
        assert answer.status == 503
    assert problem["accepted"] == len(harness.sender.sent) > 0
    assert "Input/output error" in problem["detail"]
    assert [record.value.decode() for record in harness.sender.sent] == LINES[: problem["accepted"]]


async def test_all_spools_together_are_bounded():
    harness = Harness(FixedModels(), max_spool_bytes=1_000_000)
    async with harness as client:
        async with client.post("/ingest", data=BODY, headers=CSV) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
        assert left(harness) == 1_000_000
        async with client.post("/ingest", data=BODY[:900_000].rpartition(b"\n")[0], headers=CSV) as answer:
            assert answer.status == 204
        assert left(harness) == 1_000_000
    assert len(harness.sender.sent) < len(LINES)


def test_a_folder_that_cannot_be_written_to_is_told_at_the_start(tmp_path):
    with pytest.raises(ConfigError, match=r"serving.api.spool_dir = .*nowhere"):
        SpoolPlace(str(tmp_path / "nowhere"), 1)


async def test_a_request_cut_off_while_a_thread_writes_leaves_the_file_to_that_thread(tmp_path):
    """Else the thread might write into whatever is opened next under the same number."""
    began, go_on, closed = threading.Event(), threading.Event(), threading.Event()
    written = []

    class Slow(io.BytesIO):
        def write(self, data):
            began.set()
            assert go_on.wait(10)
            written.append(self.closed)
            return super().write(data)

        def close(self):
            closed.set()
            super().close()

    place = SpoolPlace(str(tmp_path), 1_000_000)
    place._open_file = lambda _: Slow()

    async def work():
        with Spool(place) as spool:
            await spool.write(bytes(300_000))

    task = asyncio.create_task(work())
    await until(began.is_set)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not closed.is_set()
    go_on.set()
    await until(closed.is_set)
    assert written == [False]
    assert place.budget._left == 1_000_000


async def test_what_is_written_is_read_whether_it_is_small_or_large(tmp_path):
    place = SpoolPlace(str(tmp_path), 10_000_000)
    for size in (0, 1, 262_143, 262_144, 262_145, 3_000_000):
        data = os.urandom(size)
        with Spool(place) as spool:
            for at in range(0, size, 100_001):
                await spool.write(data[at : at + 100_001])
            assert b"".join([piece async for piece in spool.pieces()]) == data
            assert await spool.run(lambda file: (file.seek(0), file.read())[1]) == data


async def test_a_disk_that_does_not_open_is_told(tmp_path):
    place = SpoolPlace(str(tmp_path), 1_000_000)
    tmp_path.rmdir()
    with Spool(place) as spool, pytest.raises(StoreUnavailable, match=r"spooling the body in .* failed: No such file"):
        await spool.write(bytes(300_000))


class Clock:
    """The loop's time, which runs only when a client makes it wait."""

    def __init__(self, monkeypatch):
        self.ahead_s = 0.0
        loop = asyncio.get_running_loop()
        time = loop.time
        monkeypatch.setattr(loop, "time", lambda: time() + self.ahead_s)

    def request(self, *waits):
        """A request whose chunks, of so many bytes, come after so many seconds."""
        chunks = iter(waits)

        async def readany():
            size, seconds = next(chunks)
            self.ahead_s += seconds
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return bytes(size)

        return SimpleNamespace(content=SimpleNamespace(readany=readany))


async def test_a_client_may_take_long_as_long_as_enough_comes(monkeypatch):
    pace = BodyPace(10)
    request = Clock(monkeypatch).request(*[(100_000, 4)] * 50)
    for _ in range(50):
        assert len(await pace.chunk(request)) == 100_000


@pytest.mark.parametrize(
    ("waits", "chunks"),
    [([(1, 11)], 0), ([(1, 1)] * 20, 9), ([(10_000_000, 1), (1, 11)], 1), ([(10_000_000, 1)] + [(16_000, 1)] * 20, 10)],
    ids=["rests", "drips", "rests after much", "becomes too slow"],
)
async def test_a_client_that_rests_or_drips_is_cut_off(monkeypatch, waits, chunks):
    pace = BodyPace(10)
    request = Clock(monkeypatch).request(*waits)
    for _ in range(chunks):
        await pace.chunk(request)
    with pytest.raises(Problem) as refused:
        await pace.chunk(request)
    assert refused.value.status == 408
    assert "less than 163840 bytes in 10 s" in refused.value.detail


async def test_a_client_that_sends_nothing_gets_its_place_taken():
    harness = Harness(FixedModels(), request_timeout_ms=100)
    async with harness as client:
        reader, writer = await asyncio.open_connection(client.host, client.port)
        writer.write(b"POST /ingest HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nContent-Length: 100\r\n\r\nu,i\n")
        answer = await asyncio.wait_for(reader.readuntil(b"nothing was stored"), 20)
        writer.close()
        assert answer.split()[1] == b"408"
        assert harness.app[app_keys.RUNNING].count == 0
    assert harness.sender.sent == []


@pytest.fixture
def harness():
    return Harness(FixedModels())
