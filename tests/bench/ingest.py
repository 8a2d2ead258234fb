"""A bulk write of a gigabyte to a serving process on a real broker: lines a second, memory, and what others notice.

One request streams lines that are made while it is sent. Before and meanwhile, another process asks
``/healthz`` again and again, and a third sends single interactions. In the end the input topic must have every line;
the run fails where it does not, or where the serving process grew by more than 150 MB.
"""

import argparse
import http.client
import json
import os
import platform
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import psutil

from oryx_py.adapters.kafka import KafkaAdmin
from oryx_py.local.broker import EmbeddedBroker
from tests.support.system import START_S, System, eventually

GROWTH_LIMIT_MB = 150
IDLE_S = 5.0
BLOCK_LINES = 20_000

_ended: Event


def blocks(size_bytes: int) -> Iterator[bytes]:
    """Yield lines of 76 bytes, with IDs as long as a UUID and an ObjectId, about so many bytes of them.

    Each block has users of its own.
    """
    rows = ((b"@@@@@@@@-0000-4000-8000-%012x" % n, b"%024x" % (n * 7919)) for n in range(BLOCK_LINES))
    block = b"".join(b"%s,%s,2.5,1700000000000\n" % row for row in rows)
    for number in range(max(1, round(size_bytes / len(block)))):
        yield block.replace(b"@@@@@@@@", b"%08x" % number)


def send(port: int, size_bytes: int) -> tuple[int, int, float]:
    """Post them in one chunked request; return lines, bytes and seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1800)
    sent = [0, 0]

    def counted() -> Iterator[bytes]:
        for block in blocks(size_bytes):
            sent[0] += BLOCK_LINES
            sent[1] += len(block)
            yield block

    begun = time.perf_counter()
    connection.request("POST", "/ingest", counted(), {"Content-Type": "text/csv"}, encode_chunked=True)
    answer = connection.getresponse()
    seconds = time.perf_counter() - begun
    body = answer.read()
    assert answer.status == 204, body
    connection.close()
    return sent[0], sent[1], seconds


def probe(port: int, method: str, path: str) -> list[tuple[float, float]]:
    """Ask again and again until told to end; return when each began, by the machine's clock, and its milliseconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    found: list[tuple[float, float]] = []
    while not _ended.wait(0.01):
        begun = time.perf_counter()
        connection.request(method, path)
        answer = connection.getresponse()
        answer.read()
        found.append((begun, (time.perf_counter() - begun) * 1000))
        assert answer.status in {200, 204}
    return found


def run(system: System, size_bytes: int) -> dict[str, object]:
    """Start the serving process, write, and measure."""
    system.oryx("setup")
    process = psutil.Process(system.start("serve").pid)
    system.wait_up()
    eventually(lambda: system.request("POST", "/pref/u/i").status == 204, START_S)
    before = process.memory_info().rss
    cpu_before = sum(process.cpu_times()[:2])
    highest, over = before, threading.Event()

    def watch() -> None:
        nonlocal highest
        while not over.wait(0.05):
            highest = max(highest, process.memory_info().rss)

    watching = threading.Thread(target=watch)
    watching.start()
    context = get_context("spawn")
    ended = context.Event()
    with ProcessPoolExecutor(3, context, _begin, (ended,)) as pool:
        probes: dict[str, Future[list[tuple[float, float]]]] = {
            "healthz": pool.submit(probe, system.port, "GET", "/healthz"),
            "pref": pool.submit(probe, system.port, "POST", "/pref/u/i"),
        }
        time.sleep(IDLE_S)
        begun = time.perf_counter()
        try:
            lines, sent_bytes, seconds = pool.submit(send, system.port, size_bytes).result()
        finally:
            ended.set()
            over.set()
            watching.join()
        latencies = {name: found.result() for name, found in probes.items()}
    ends = KafkaAdmin(str(system.settings["KAFKA__BOOTSTRAP_SERVERS"]), {}).end_offsets(
        str(system.settings["INPUT__TOPIC"])
    )
    result: dict[str, object] = {
        "lines": lines,
        "megabytes": round(sent_bytes / 1e6),
        "seconds": round(seconds, 1),
        "lines_per_s": round(lines / seconds),
        "stored": sum(ends.values()) - 1 - len(latencies["pref"]),
        "growth_mb": round((highest - before) / 1e6, 1),
        "cpu_us_per_line": round((sum(process.cpu_times()[:2]) - cpu_before) / lines * 1e6, 2),
    }
    for name, found in latencies.items():
        for when, busy in (("idle", False), ("busy", True)):
            p50, p99, worst = np.percentile([ms for at, ms in found if (at >= begun) == busy], [50, 99, 100])
            for key, ms in (("p50", p50), ("p99", p99), ("max", worst)):
                result[f"{name}_{when}_{key}_ms"] = round(float(ms), 2)
    return result


def _begin(ended: Event) -> None:
    global _ended
    _ended = ended


def main() -> int:
    """Run the benchmark; 0 where every line is in the topic, in bounded memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=1000, help="of lines (1000)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="oryx-ingest-") as folder:
        broker = EmbeddedBroker(Path(folder) / "broker", 0)
        broker.start()
        try:
            with System(Path(folder), broker.bootstrap_servers) as system:
                result = run(system, round(options.megabytes * 1e6))
        finally:
            broker.stop()
    result |= {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    print(json.dumps(result) if options.json else "\n".join(f"{name:20} {value}" for name, value in result.items()))
    return int(result["stored"] != result["lines"] or float(str(result["growth_mb"])) > GROWTH_LIMIT_MB)


if __name__ == "__main__":
    sys.exit(main())
