"""Looks at everything that says how the layers are: themselves, Kafka, the registry, the store, the history."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from oryx_py.adapters.kafka import KafkaAdmin, KafkaConsumer
from oryx_py.adapters.places import history_log, open_files, open_registry, open_store, reach_of
from oryx_py.cli.asking import url_of
from oryx_py.cli.status.asking_all import Heard, Outcome, ask_all, hear
from oryx_py.cli.status.composing import Facts, Process, position_of
from oryx_py.cli.status.report import Topic
from oryx_py.config import Settings
from oryx_py.errors import OryxError, Transient
from oryx_py.local.broker_home import broker_folder
from oryx_py.local.endpoint import LOCAL, located, resolve_bootstrap
from oryx_py.local.layers_file import read_layers
from oryx_py.model.epochs.registry import Registry
from oryx_py.model.generations.manifest import Manifest
from oryx_py.model.history.commits import History
from oryx_py.ports import EndOfPartition

__all__ = ["addresses_of", "look"]

_ANSWER_S = 2.0
_KAFKA_S = 4.0
_ALL_S = 5.0
_BETWEEN_S = 1.0
"""Of two looks at counters: rates are those of the time between."""

_LAYERS = {"batch": "batch", "speed": "speed", "serve": "serving"}
"""Names of commands, and of the layers they run."""


def addresses_of(settings: Settings, named: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the layers that should run, each with where it answers; "" where nothing says it.

    Those that were ``named``; for a layer of which none was, what `oryx up` runs in this folder, or else what the
    settings say.
    """
    running = read_layers(settings.local_dir)
    by_settings = {
        "batch": _address(settings.batch.metrics_host, settings.batch.metrics_port),
        "speed": _address(settings.speed.metrics_host, settings.speed.metrics_port),
        "serve": url_of(settings).removeprefix("http://"),
    }
    expected = by_settings if running is None else running.layers
    given = {layer for layer, _ in named}
    found = [(_LAYERS[name], address) for name, address in expected.items() if _LAYERS.get(name, "") not in given]
    order = list(_LAYERS.values())
    return sorted([*found, *named], key=lambda each: order.index(each[0]))


def look(settings: Settings, processes: Sequence[tuple[str, str]]) -> Facts:
    """Find out everything, within some seconds whoever is away."""
    questions: dict[str, Callable[[], Any]] = {
        "Kafka": lambda: _topics(settings, _bootstrap(settings)),
        "the store": lambda: _stored(settings),
        "the checkpoints": lambda: _checkpoints(settings),
        "the history": lambda: history_log(located(settings).history_uri, reach_of(located(settings))).read(),
    }
    began = time.monotonic()
    first = ask_all({**questions, **_hearing(processes)}, _ALL_S)
    troubles = [f"{name}: {first[name].error}" for name in questions if first[name].error is not None]
    topics: tuple[Topic, ...] = first["Kafka"].answer or ()
    registry, manifest, trouble = first["the store"].answer or (None, None, "")
    history: History | None = first["the history"].answer
    troubles += [trouble] if trouble else []
    time.sleep(max(0.0, _BETWEEN_S - (time.monotonic() - began)))
    if topics:  # anew, just before who reads it is asked how far he is
        topics = ask_all({"": lambda: _topics(settings, _bootstrap(settings))}, _ALL_S)[""].answer or topics
    at = time.time()
    second = ask_all(_hearing(processes), _ALL_S)
    facts = Facts(
        at=at,
        processes=tuple(
            Process(layer, address, _of(first, number), _of(second, number))
            for number, (layer, address) in enumerate(processes)
        ),
        topics=topics,
        registry=registry,
        manifest=manifest,
        history=history,
        checkpoints=first["the checkpoints"].answer,
        troubles=tuple(troubles),
    )
    wanted = _unread(facts)
    if not wanted:
        return facts
    oldest = ask_all({"": lambda: _timestamps(settings, _bootstrap(settings), wanted)}, _ALL_S)[""]
    return replace(facts, oldest_ms=oldest.answer or {})


def _hearing(processes: Sequence[tuple[str, str]]) -> dict[str, Callable[[], Any]]:
    def ask(address: str) -> Callable[[], Heard]:
        return lambda: hear(address, _ANSWER_S)

    return {str(number): ask(address) for number, (_, address) in enumerate(processes) if address}


def _of(outcomes: Mapping[str, Outcome[Any]], number: int) -> Outcome[Heard]:
    return outcomes.get(str(number), Outcome())


def _address(host: str, port: int) -> str:
    from oryx_py.cli.asking import at

    return at(host, port) if port else ""


def _bootstrap(settings: Settings) -> str:
    try:
        return resolve_bootstrap(settings)
    except OryxError as error:  # a broker that does not run is a finding here, no mistake of the user's
        raise Transient(str(error)) from error


def _topics(settings: Settings, bootstrap: str) -> tuple[Topic, ...]:
    admin = KafkaAdmin(bootstrap, settings.kafka.client, timeout_s=_KAFKA_S)
    found = []
    for what, name in (
        ("input", settings.input.topic),
        ("updates", settings.update.topic),
        ("items", settings.items.topic),
        ("dead letters", settings.dead_letter_topic),
    ):
        if settings.update.dialect == "oryx2" and admin.partitions(name) is None:
            continue
        start, end = admin.start_offsets(name), admin.end_offsets(name)
        found.append(Topic(topic=name, what=what, start=start, end=end, bytes=_bytes(settings, name, len(end))))
    return tuple(found)


def _bytes(settings: Settings, topic: str, partitions: int) -> int | None:
    """What a topic takes on this machine's disk, None where its broker is elsewhere."""
    if settings.kafka.bootstrap_servers != LOCAL:
        return None
    data = broker_folder(settings.local_dir) / "data"
    return sum(_size(file) for number in range(partitions) for file in (data / f"{topic}-{number}").glob("*.log"))


def _size(file: Path) -> int:
    try:
        return file.stat().st_blocks * 512  # what it takes: Kafka may have reserved more
    except FileNotFoundError:  # it was trimmed meanwhile
        return 0


def _stored(settings: Settings) -> tuple[Registry, Manifest | None, str]:
    """The registry, the manifest of its newest generation, and what is wrong with that, if anything."""
    here = located(settings)
    reach = reach_of(here)
    registry = open_registry(here.registry_uri, reach).read()
    newest = registry.newest_epoch
    if newest is None:
        return registry, None, ""
    try:
        return registry, open_store(here.store_uri, reach).manifest(newest.generation), ""
    except OryxError as error:
        return registry, None, str(error)


def _checkpoints(settings: Settings) -> int | None:
    """How many the store has, None for none."""
    here = located(settings)
    files = open_files(f"{here.store_uri.rstrip('/')}/checkpoints", "store.uri", reach_of(here))
    return sum(entry.is_dir and not entry.name.startswith(".") for entry in files.list()) or None


def _unread(facts: Facts) -> dict[int, set[int]]:
    """By input partition the positions of processes that are not at the input's end."""
    end = next((topic.end for topic in facts.topics if topic.what == "input"), {})
    wanted: dict[int, set[int]] = {}
    for process in facts.processes:
        for partition, offset in position_of(process, facts.history).items():
            if offset < end.get(partition, 0):
                wanted.setdefault(partition, set()).add(offset)
    return wanted


def _timestamps(settings: Settings, bootstrap: str, wanted: Mapping[int, set[int]]) -> dict[tuple[int, int], int]:
    """Kafka's timestamps of the records at these offsets, or of the first one after; those that were trimmed lack."""
    topic, found = settings.input.topic, dict[tuple[int, int], int]()
    consumer = KafkaConsumer(bootstrap, settings.kafka.client, timeout_s=_KAFKA_S)
    deadline = time.monotonic() + _KAFKA_S
    try:
        for round_ in range(max(map(len, wanted.values()))):
            left = {p: sorted(offsets)[round_] for p, offsets in wanted.items() if round_ < len(offsets)}
            consumer.assign({(topic, partition): offset for partition, offset in left.items()})
            while left and time.monotonic() < deadline:
                try:
                    events = consumer.poll(len(left), 0.2)
                except OryxError:  # trimmed meanwhile, or beyond the end
                    break
                for event in events:
                    offset = left.pop(event.partition, None)
                    if offset is not None and not isinstance(event, EndOfPartition):
                        found[event.partition, offset] = event.timestamp_ms
    finally:
        consumer.close()
    return found
