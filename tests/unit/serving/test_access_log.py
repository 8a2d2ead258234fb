"""The line of each request: as the other lines are, and never in a request's way."""

import asyncio
import io
import json
import threading

import pytest
import structlog

from oryx_py.runtime.telemetry import configure_logging, json_lines
from serving_layer.requests.access_log import AccessLog, RequestLine

NOW_MS = 1_767_225_600_007  # 2026-01-01T00:00:00.007Z
LINE = RequestLine(NOW_MS, "id-1", "GET", "/estimate/{user}", "/estimate/a%2Fb", 200, 0.25, "gen-1", 3, {0: 7, 1: 0})


@pytest.fixture
def stream():
    stream = io.StringIO()
    configure_logging("info", "json", stream=stream, environ={})
    yield stream
    structlog.reset_defaults()


def test_a_line_has_the_form_of_the_other_lines(stream):
    fields = {"request_id": "id-1", "method": "GET", "route": "/estimate/{user}", "path": "/estimate/a%2Fb"}
    structlog.get_logger("serving").info(
        "request", **fields, status=200, ms=0.25, generation="gen-1", epoch=3, input={0: 7, 1: 0}
    )
    json_lines()(LINE.json())
    by_structlog, ours = map(json.loads, stream.getvalue().splitlines())
    assert len(by_structlog.pop("timestamp")) == len("2026-01-01T00:00:00.007000Z")
    assert ours.pop("timestamp") == "2026-01-01T00:00:00.007000Z"
    assert list(ours.items()) == list(by_structlog.items()), "the same fields in the same order"


def test_where_people_read_there_is_nothing_to_write_json_to(stream):
    configure_logging("info", "console", stream=stream, environ={})
    assert json_lines() is None


@pytest.mark.parametrize("path", ['/a"\n{', "/\udcff", "/ü"])
def test_no_path_breaks_a_line(path):
    text = LINE._replace(path=path).json()
    assert text.count(b"\n") == 1
    assert json.loads(text)["status"] == 200


def test_without_a_model_nothing_is_said_of_one():
    line = json.loads(LINE._replace(generation=None, epoch=None, input=None).json())
    assert not line.keys() & {"generation", "epoch", "input"}


async def test_every_line_is_written_in_order():
    written = []
    log = AccessLog(written.append, lambda count: pytest.fail("dropped"))
    for number in range(1000):
        log.add(LINE._replace(ms=number))
        if number % 100 == 0:
            await asyncio.sleep(0)
    await log.close()
    assert [json.loads(line)["ms"] for line in b"".join(written).splitlines()] == list(range(1000))


async def test_a_log_that_nobody_reads_costs_lines_and_not_requests():
    reads, dropped = threading.Event(), []
    log = AccessLog(lambda lines: reads.wait(20), dropped.append, capacity=10)
    async with asyncio.timeout(20):
        while sum(dropped) < 5:
            log.add(LINE)
            await asyncio.sleep(0.001)
    assert len(log._waiting) <= 10
    reads.set()
    await log.close()


async def test_a_log_that_cannot_be_written_is_counted():
    def broken(lines):
        raise BrokenPipeError

    dropped = []
    log = AccessLog(broken, dropped.append)
    log.add(LINE)
    await log.close()
    assert dropped == [1]
    assert not log._thread.is_alive()
