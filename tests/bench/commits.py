"""What looking at a registry of many epochs costs: CPU time, and questions to the files, requests where these are far.

python -m tests.bench.commits [--epochs 10000] [--without-packs]
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from batch_layer.publishing.lineage import lineage
from oryx_py.adapters.commit_logs.commit_file import encode_commit_file
from oryx_py.adapters.commit_logs.commit_log import FileCommitLog
from oryx_py.adapters.commit_logs.commit_packs import PACKED, Packs
from oryx_py.adapters.commit_logs.registry_log import RegistryLog
from oryx_py.model.epochs.registry import EpochStarted, GenerationState, Registry, encode_entries
from oryx_py.ports.store import Commit
from tests.support.counting_files import CountingFiles

PARTITIONS = 4


def fill(place: Path, epochs: int, *, packed: bool) -> None:
    """Write the files as the log does, without waiting for the disk each time."""
    told = []
    for number in range(1, epochs + 1):
        name, before = (f"20260101T000000000-{n:08x}" for n in (number, number - 1))
        ended = [GenerationState(before, "retired")] if number > 1 else []
        begun = EpochStarted(number, name, dict.fromkeys(range(PARTITIONS), 1000 * number), number)
        commit = Commit(number, encode_entries([GenerationState(name, "published"), *ended, begun]))
        header, content = encode_commit_file(commit)
        (place / f"{number:012d}.json").write_bytes(content)
        told.append((header, commit))
    packs = Packs(CountingFiles(place), "")
    for end in range(PACKED, epochs + 1, PACKED) if packed else ():
        packs.write(end, told[end - PACKED : end])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=10_000)
    parser.add_argument("--without-packs", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        fill(place, given.epochs, packed=not given.without_packs)
        files = CountingFiles(place)
        log = RegistryLog(FileCommitLog(files))

        def told(what: str, look: Callable[[], object]) -> None:
            files.asked.clear()
            began = time.process_time()
            look()
            spent = 1000 * (time.process_time() - began)
            print(f"{what:24s} {spent:8.2f} ms of CPU, asked {dict(sorted(files.asked.items()))}", flush=True)

        print(f"{given.epochs} epochs")
        told("first look", log.read)
        seen: Registry = log.read()
        told("later look", log.read)
        told("look with what was seen", lambda: log.read(seen))
        told("lineage", lambda: lineage(seen))


if __name__ == "__main__":
    main()
