"""What looking at a registry and a history of thousands of commits asks for and copies; counted, not timed."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
import xxhash

from oryx_py.adapters.commit_logs.commit_log import FileCommitLog
from oryx_py.adapters.commit_logs.history_log import HistoryLog
from oryx_py.adapters.commit_logs.registry_log import RegistryLog
from oryx_py.model.epochs import registry as registry_module
from oryx_py.model.epochs.registry import EpochStarted, GenerationState, Registry, encode_entries
from oryx_py.model.history.commits import HistoryCommit, HistoryFile, encode_commit
from tests.support.counting_files import CountingFiles

MANY = 3000


def put(place: Path, number: int, payload: bytes) -> None:
    """Put a commit where the log has it, without the disk's word for each that it is durable."""
    header = {"commit": number, "xxh3_128": xxhash.xxh3_128_hexdigest(payload), "writer": f"{number:016x}"}
    (place / f"{number:012d}.json").write_bytes(msgspec.json.encode(header) + b"\n" + payload)


def epoch(number: int) -> bytes:
    """What the batch layer commits with each epoch."""
    ends = GenerationState(f"g{number - 1}", "retired") if number > 1 else GenerationState("g0", "rejected")
    begins = EpochStarted(number, f"g{number}", {0: number}, number)
    return encode_entries([GenerationState(f"g{number}", "published"), ends, begins])


def rows(number: int) -> bytes:
    """What the batch layer commits with each run's rows."""
    file = HistoryFile(f"data/{number}.parquet", 1, 1)
    commit = HistoryCommit(number=number, files=(file,), input={0: (number - 1, number)}, rejected=0, time_ms=number)
    return encode_commit(commit)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    root = tmp_path_factory.mktemp("long")
    for name, payload in (("registry", epoch), ("history", rows)):
        (root / name).mkdir()
        for number in range(1, MANY + 1):
            put(root / name, number, payload(number))
    return {name: root / name for name in ("registry", "history")}


def log_of(logs: Mapping[str, Path], name: str) -> tuple[Any, CountingFiles]:
    files = CountingFiles(logs[name])
    kind = {"registry": RegistryLog, "history": HistoryLog}[name]
    return kind(FileCommitLog(files)), files


@pytest.mark.parametrize("name", ["registry", "history"])
def test_a_first_look_reads_each_commit_once(logs: Mapping[str, Path], name: str) -> None:
    log, files = log_of(logs, name)
    assert log.read().number == MANY
    assert files.asked == Counter(names=1, read=MANY)


@pytest.mark.parametrize("name", ["registry", "history"])
def test_a_look_with_what_was_seen_asks_once_and_folds_nothing(logs: Mapping[str, Path], name: str) -> None:
    log, files = log_of(logs, name)
    seen = log.read()
    files.asked.clear()
    for _ in range(10):
        assert log.read(seen) is seen
    assert files.asked == Counter(size=10)


@pytest.mark.parametrize("name", ["registry", "history"])
def test_a_later_look_without_it_reads_the_newest_commit_alone(
    logs: Mapping[str, Path], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which shows that it is the log that was folded; also where the older ones are no longer remembered."""
    monkeypatch.setattr("oryx_py.adapters.commit_logs.commit_log._KNOWN_BYTES", 10_000)
    log, files = log_of(logs, name)
    seen = log.read()
    files.asked.clear()
    for _ in range(10):
        assert log.read() is seen
    assert files.asked == Counter(names=10, size=10, read=10)


@pytest.mark.parametrize(("name", "payload"), [("registry", epoch), ("history", rows)], ids=["registry", "history"])
def test_what_is_new_is_read_and_folded_on(
    logs: Mapping[str, Path], name: str, payload: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oryx_py.adapters.commit_logs.commit_log._KNOWN_BYTES", 10_000)
    log, files = log_of(logs, name)
    seen = log.read()
    new = logs[name] / f"{MANY + 1:012d}.json"
    put(logs[name], MANY + 1, payload(MANY + 1))
    try:
        files.asked.clear()
        grown = log.read(seen)
        assert files.asked["read"] == 1
        assert grown == log.read() == log_of(logs, name)[0].read()
    finally:
        new.unlink()
    assert log.read() == seen, "the log has been put back"


def test_folding_the_registry_copies_it_once(logs: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for each entry: that was the square of their number."""
    copied: list[int] = []

    def frozen(mapping: dict[str, Any]) -> Mapping[str, Any]:
        copied.append(len(mapping))
        return MappingProxyType(mapping)

    monkeypatch.setattr(registry_module, "MappingProxyType", frozen)
    registry = log_of(logs, "registry")[0].read()
    assert sum(copied) == len(registry.generations) == MANY + 1
    copied.clear()
    assert Registry.fold([], registry) is registry
    assert copied == []
