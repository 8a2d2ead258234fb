"""Whether a running system answers what a slow recomputation from the input topic says."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from oryx_py.adapters.kafka import KafkaAdmin, KafkaConsumer
from oryx_py.adapters.places import open_store
from oryx_py.errors import BadInteraction
from oryx_py.events import Interaction
from oryx_py.messages.inbound import read_input
from oryx_py.model.generations.generation import Generation
from oryx_py.model.state.model_state import ModelState
from oryx_py.ports import EndOfPartition, Record
from tests.support.generations import AtRest, Pairs, at_rest
from tests.support.repeats import Sighting, sighting_of
from tests.support.speed import SpeedWorld
from tests.support.system import System, eventually

__all__ = ["assert_answers", "assert_state", "compared_answers", "expected", "input_log", "input_size"]

Vector = NDArray[np.floating[Any]]


def assert_answers(system: System) -> AtRest:
    """Check every user's known items and scores against the whole input topic; return what was expected."""
    rest, wrong = compared_answers(system, list(input_log(system)))
    assert not wrong, "\n".join(wrong[:10])
    return rest


def compared_answers(system: System, log: list[tuple[Record, Interaction]]) -> tuple[AtRest, list[str]]:
    """Compare every user's known items and scores with what the input topic's log says; return that, and what differs.

    Waits for the answers to have all of it, at most as long as a layer that was killed just now takes to come back.
    """
    ends = {p: max(record.offset for record, _ in log if record.partition == p) for p in {r.partition for r, _ in log}}
    after = ",".join(f"{partition}:{offset}" for partition, offset in sorted(ends.items()))
    eventually(lambda: system.get(f"/mostPopularItems?after={after}").status == 200, 60)
    generation = system.get(f"/mostPopularItems?after={after}").generation
    rest = expected(system, generation, log)
    wrong: list[str] = []
    items = sorted(item for item, vector in rest.items.items() if vector is not None)
    users = {user for _, interaction in log if (user := interaction.user)}
    for user in sorted(users):
        known = system.get(f"/knownItems/{quote(user, safe='')}?after={after}")
        assert known.status == 200, known.body
        assert known.generation == generation
        if sorted(known.json()) != sorted(rest.pairs.get(user, {})):
            wrong.append(f"{user} knows {sorted(known.json())}, not {sorted(rest.pairs.get(user, {}))}")
        vector = rest.users.get(user)
        if vector is None:
            continue
        some = items[:: max(1, len(items) // 20)]
        path = "/".join(quote(item, safe="") for item in some)
        scores = system.get(f"/estimate/{quote(user, safe='')}/{path}").json()
        wanted = [float(vector @ rest.items[item]) for item in some]
        if not np.allclose(scores, wanted, rtol=1e-4, atol=1e-4 * float(np.linalg.norm(vector)) + 1e-9):
            wrong.append(f"{user} scores {scores}, not {wanted}")
    return rest, wrong


def assert_state(
    world: SpeedWorld,
    name: str,
    base: Pairs,
    state: ModelState,
    *,
    complete: bool = True,
    tolerance: float = 1e-5,
    told: Sequence[Record] | None = None,
) -> None:
    """Check a reader's whole state against the slow fold of the topic; `complete`: it must have all of it.

    ``told`` has all that was ever in the topic, where it was trimmed since.
    """
    generation = state.generation
    covered = generation.manifest.next_offsets
    log: list[tuple[int, int, Interaction]] = []
    sightings: list[Sighting] = []
    for record in world.read(world.settings.input.topic, world.partitions) if told is None else told:
        reached = state.progress().get(record.partition, 0)
        assert not complete or record.offset < reached, "PROGRESS does not reach the end"
        with suppress(BadInteraction):
            interaction = read_input(record.value, record.partition, world.partitions)
            sightings.append(sighting_of(record, interaction))
            if covered.get(record.partition, 0) <= record.offset < reached:
                log.append((record.partition, record.offset, interaction))
    rest = at_rest(generation, base, log, world.partitions, sightings)
    for user in {*rest.pairs, *(interaction.user for _, _, interaction in log)}:
        handle = state.users.find(user)
        items, strengths = state.history(handle) if handle >= 0 else (np.empty(0, np.int64), np.empty(0))
        assert dict(zip(state.items.ids(items.tolist()), strengths.tolist(), strict=True)) == rest.pairs.get(user, {})
        _assert_close(state.user_vector(handle) if handle >= 0 else None, rest.users.get(user), tolerance)
    for item in {*rest.items, *(interaction.item for _, _, interaction in log)}:
        handle = state.items.find(item)
        _assert_close(state.item_vector(handle) if handle >= 0 else None, rest.items.get(item), tolerance)


def _assert_close(found: Vector | None, wanted: Vector | None, tolerance: float) -> None:
    assert (found is None) == (wanted is None)
    if found is not None and wanted is not None:
        assert np.linalg.norm(found - wanted) <= tolerance * np.linalg.norm(wanted) + 1e-12


def expected(system: System, generation: str, log: list[tuple[Record, Interaction]]) -> AtRest:
    """Return the state at rest of a generation with all input that it does not cover."""
    opened = Generation.open(open_store(str(system.folder / "store")).local(generation))
    base: Pairs = {}
    for row in range(len(opened.users)):
        items, strengths = opened.user_histories.row(row)
        base[opened.users.id(row)] = {opened.items.id(int(i)): float(s) for i, s in zip(items, strengths, strict=True)}
    covered = opened.manifest.next_offsets
    rest = [(r.partition, r.offset, told) for r, told in log if r.offset >= covered.get(r.partition, 0)]
    sightings = [sighting_of(record, told) for record, told in log]
    return at_rest(opened, base, rest, int(str(system.settings["INPUT__PARTITIONS"])), sightings)


def input_log(system: System) -> Iterator[tuple[Record, Interaction]]:
    """Read the whole input topic; what cannot be read is left out, as everywhere."""
    bootstrap, topic = str(system.settings["KAFKA__BOOTSTRAP_SERVERS"]), str(system.settings["INPUT__TOPIC"])
    start = KafkaAdmin(bootstrap, {}).start_offsets(topic)
    consumer = KafkaConsumer(bootstrap, {})
    try:
        consumer.assign({(topic, partition): offset for partition, offset in start.items()})
        unread = set(start)
        while unread:
            for event in consumer.poll(1000, 1.0):
                if isinstance(event, EndOfPartition):
                    unread.discard(event.partition)
                    continue
                try:
                    yield event, read_input(event.value, event.partition, len(start))
                except BadInteraction:
                    continue
    finally:
        consumer.close()


def input_size(system: System) -> int:
    """How many records the input topic has."""
    admin = KafkaAdmin(str(system.settings["KAFKA__BOOTSTRAP_SERVERS"]), {})
    return sum(admin.end_offsets(str(system.settings["INPUT__TOPIC"])).values())
