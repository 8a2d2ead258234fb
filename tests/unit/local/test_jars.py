"""The cache of jars: fetched once, all or nothing, and exactly what the lock names."""

import hashlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from oryx_py.errors import MissingDependency, UserError
from oryx_py.local import ivy, jars
from oryx_py.local.ivy import Coordinates
from oryx_py.local.java import Java

JAVA = Java(Path("java"), 17, "17")
CONTENTS = {"kafka_2.13": b"broker", "kafka-clients": b"clients"}
LOCK = tuple(
    jars.Jar(Coordinates("org.apache.kafka", name, "4.0"), len(content), hashlib.sha256(content).hexdigest())
    for name, content in CONTENTS.items()
)


class Repository:
    """Fetches from memory, and counts how often it was asked."""

    def __init__(self, contents: dict[str, bytes]) -> None:
        self.contents = contents
        self.calls = 0

    def __call__(
        self, java: Java, wanted: Sequence[Coordinates], folder: Path, on_progress: Callable[[int], None]
    ) -> None:
        self.calls += 1
        for done, jar in enumerate(wanted, start=1):
            (folder / jar.file_name).write_bytes(self.contents[jar.name])
            on_progress(done)


def never(java: Java, wanted: Sequence[Coordinates], folder: Path, on_progress: Callable[[int], None]) -> None:
    raise AssertionError("fetched again")


def test_the_first_call_fetches_and_the_next_needs_no_network(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    first = jars.resolve_jars(
        JAVA, cache=tmp_path, lock=LOCK, fetch=Repository(CONTENTS), on_progress=lambda *step: seen.append(step)
    )
    again = jars.resolve_jars(JAVA, cache=tmp_path, lock=LOCK, fetch=never)
    assert first == again
    assert first.folder == tmp_path / "kafka-4.0"
    assert [path.read_bytes() for path in first.files] == list(CONTENTS.values())
    assert first.classpath == ":".join(map(str, first.files))
    assert seen == [(0, 2), (1, 2), (2, 2)]


def test_a_wrong_checksum_is_refused_and_nothing_is_installed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"kafka-clients-4\.0\.jar is not the file .* nothing was installed"):
        jars.resolve_jars(JAVA, cache=tmp_path, lock=LOCK, fetch=Repository(CONTENTS | {"kafka-clients": b"cl1ents"}))
    assert [path.name for path in tmp_path.iterdir()] == ["kafka-4.0.lock"]


def test_a_fetch_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def breaks_off(java: Java, wanted: Sequence[Coordinates], folder: Path, report: Callable[[int], None]) -> None:
        (folder / wanted[0].file_name).write_bytes(b"brok")
        raise MissingDependency("no network")

    with pytest.raises(MissingDependency):
        jars.resolve_jars(JAVA, cache=tmp_path, lock=LOCK, fetch=breaks_off)
    assert [path.name for path in tmp_path.iterdir()] == ["kafka-4.0.lock"]


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"bro")])
def test_a_damaged_cache_is_fetched_anew(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    good = jars.resolve_jars(JAVA, cache=tmp_path, lock=LOCK, fetch=Repository(CONTENTS))
    damage(good.files[0])
    jars.resolve_jars(JAVA, cache=tmp_path, lock=LOCK, fetch=Repository(CONTENTS))
    assert good.files[0].read_bytes() == b"broker"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kafka-4.0", "kafka-4.0.lock"]


def test_what_a_killed_fetch_left_is_swept(tmp_path: Path) -> None:
    (tmp_path / "kafka-4.0.fetch-dead").mkdir()
    jars.resolve_jars(JAVA, cache=tmp_path, lock=LOCK, fetch=Repository(CONTENTS))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kafka-4.0", "kafka-4.0.lock"]


def test_of_two_at_once_one_fetches_and_both_get_the_jars(tmp_path: Path) -> None:
    repository, both = Repository(CONTENTS), threading.Barrier(2)
    results: list[jars.Jars] = []

    def resolve() -> None:
        both.wait()
        results.append(jars.resolve_jars(JAVA, cache=tmp_path, lock=LOCK, fetch=repository))

    threads = [threading.Thread(target=resolve) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert repository.calls == 1
    assert results[0] == results[1]


def test_the_cache_follows_the_xdg_convention() -> None:
    assert jars.cache_folder({"XDG_CACHE_HOME": "/x"}) == Path("/x/oryx-py")
    assert jars.cache_folder({"XDG_CACHE_HOME": "relative/is/ignored"}) == Path.home() / ".cache" / "oryx-py"
    assert jars.cache_folder({}) == Path.home() / ".cache" / "oryx-py"


def test_the_lock_names_a_broker_its_console_tools_and_each_file_once() -> None:
    lock = jars.read_lock()
    names = [jar.coordinates.name for jar in lock]
    assert {"kafka_2.13", "kafka-tools", "log4j-slf4j-impl"} <= set(names)
    assert len(set(names)) == len(names)
    assert all(len(jar.sha256) == 64 and jar.bytes > 0 for jar in lock)
    assert jars.version_of(jars.KAFKA, lock) == next(
        j.coordinates.version for j in lock if j.coordinates.name == "kafka-tools"
    )


def test_without_pyspark_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ivy.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=r"run `pip install 'oryx-py\[batch\]'`$"):
        ivy.find_ivy()


def test_a_failing_ivy_is_told_in_one_line_after_a_second_attempt(tmp_path: Path) -> None:
    attempts = tmp_path / "attempts"
    program = tmp_path / "java"
    program.write_text(f"#!/bin/sh\necho try >> {attempts}\necho ':: java.net.UnknownHostException: repo'\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(
        MissingDependency, match=r"could not be fetched \(java.net.UnknownHostException: repo\)"
    ) as error:
        ivy.fetch(Java(program, 17, "17"), [LOCK[0].coordinates], tmp_path, lambda done: None)
    assert attempts.read_text() == "try\ntry\n"
    assert "\n" not in str(error.value)


def test_ivy_gets_every_jar_alone_and_names_are_escaped() -> None:
    module = ivy.render_module([Coordinates("o&g", "a", "1"), Coordinates("org", "b", "2")])
    assert module.count("<dependency ") == module.count('transitive="false"') == 2
    assert 'org="o&amp;g"' in module


def test_the_proxies_of_the_environment_reach_java() -> None:
    assert ivy.proxy_options({"https": "http://proxy.example:3128", "no": "x"}) == [
        "-Dhttps.proxyHost=proxy.example",
        "-Dhttps.proxyPort=3128",
    ]
    assert ivy.proxy_options({}) == []
