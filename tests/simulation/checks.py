"""What must hold: during a run, and when everything has come to rest."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from oryx_py.messages import Progress, decode
from oryx_py.model.epochs.announcements import Announcements
from oryx_py.model.state.model_state import ModelState
from oryx_py.ports import Outgoing, Partition
from tests.simulation.dense import Vector
from tests.simulation.oracle import Rest, as_of, at_rest, counting, folded
from tests.simulation.process import Failure, Process
from tests.simulation.serving import ServingProcess
from tests.simulation.told import Told

if TYPE_CHECKING:
    from speed_layer.layer import SpeedLayer
    from tests.simulation.speed import SpeedProcess
    from tests.simulation.world import World

__all__ = ["Checks"]

_STRENGTH = 1e-9
_VECTOR = 1e-4
_CANCELLED = 1e-6
"""What the rounding of vectors to float32 leaves where targets cancel, and the vector would be 0."""
"""Relative; each level rounds to float32, and the next one builds upon it."""


class Checks:
    """Looks on; owns nothing but what it has seen."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._served: dict[str, int] = {}
        """By process, the epoch; by replica, the newest that was live."""
        self._covered: dict[tuple[str, int, int], int] = {}
        """By replica, update and input partition."""
        self._rests: dict[str, Rest] = {}
        self._letters: set[str] = set()
        self._committed: dict[int, int] = {}
        """By input partition, up to where dead letters are written, as who was not replaced knows it."""
        self.reads = 0
        """How many reads after writes were compared."""

    def served(self, replica: ServingProcess) -> None:
        """No replica ever serves an epoch below one that it has served, nor less of the input than before (9).

        Nor does one that is started in its place, but for an epoch that was not live: where none is, a start takes the
        one before the newest, and the speed layer may then come to another first.
        """
        model = replica.served()
        if model is None:
            return
        slot = replica.name.split(".")[0]
        before = max(self._served.get(replica.name, 0), self._served.get(slot, 0))
        if model.epoch < before:
            raise Failure(f"{replica.name} serves epoch {model.epoch} after epoch {before}")
        if model.epoch > self._served.get(replica.name, 0):
            self._world.note(replica.name, "serves", epoch=model.epoch, generation=model.generation)
        self._served[replica.name] = model.epoch
        plan = self._world.plan
        if all(
            model.state.live(of_update).get(of_input, False)
            for of_update in range(plan.update_partitions)
            for of_input in range(plan.partitions)
        ):
            self._served[slot] = model.epoch
        for partition in range(self._world.plan.update_partitions):
            for of_input, offset in model.state.progress(partition).items():
                place = (replica.name, partition, of_input)
                if offset < self._covered.get(place, 0):
                    raise Failure(
                        f"{replica.name}, epoch {model.epoch}: {of_input} is covered to {offset} only, before "
                        f"it was to {self._covered[place]}"
                    )
                self._covered[place] = offset

    def leaves(self, process: "SpeedProcess", left: Collection[int], kept: Collection[int]) -> None:
        """Nobody leaves an epoch that is served before a later one is live in all input partitions (9).

        What was announced in it stays in the answers, and what comes gets there. Whoever was replaced, and has not
        noticed yet, speaks in vain: it is as good as dead.
        """
        world = self._world
        served = {model.epoch for replica in world.replicas() if (model := replica.served()) is not None}
        if process.effects_left is not None or not served.intersection(left):
            return
        if any(self._is_replaced(layer) for layer in process.layers):
            return
        starts = {entry.epoch: entry.start for entry in world.registry().epochs if entry.epoch in {*left, *kept}}
        live = {epoch for epoch, start in starts.items() if self._is_live(epoch, start)}
        for epoch in sorted(served.intersection(left) & live):
            if not any(later > epoch for later in live):
                raise Failure(f"{process.name} leaves epoch {epoch}, which is served, for {sorted(kept)}: not live yet")

    def _is_replaced(self, layer: "SpeedLayer") -> bool:
        """Whether somebody has claimed a partition of the layer's since, and has said so in any epoch."""
        for record in self._world.archive.get(self._world.UPDATE, []):
            if record.key == b"PROGRESS":
                progress = decode(record.key, record.value, record.headers)
                assert isinstance(progress, Progress)
                if (progress.term or 0) > (layer._term or 0) and layer.partitions.intersection(progress.partitions):
                    return True
        return False

    def _is_live(self, epoch: int, start: Mapping[int, int]) -> bool:
        """Whether an epoch was announced live in all partitions, as who reads it from its start knows it."""
        world, announcements = self._world, Announcements(self._world.plan.update_partitions)
        for record in world.archive.get(world.UPDATE, []):
            if record.key == b"PROGRESS" and record.offset >= start.get(record.partition, 0):
                progress = decode(record.key, record.value, record.headers)
                assert isinstance(progress, Progress)
                announcements.add(progress, record.timestamp_ms, record.partition)
        return announcements.of(epoch).is_live(range(world.plan.partitions))

    def reads_own_write(self, replica: ServingProcess, told: Told) -> None:
        """Whoever waits for what he wrote, sees it (12), or what came after it."""
        model, world = replica.served(), self._world
        if model is None or not model.state.covers(told.user, {told.partition: told.offset}):
            return
        self.reads += 1
        made = world.made[model.generation]
        mine = [r for r in counting(world.told, made.fold) if r.partition == told.partition]
        as_of_ms = as_of(world.told, made.covers)
        ends = [told.offset + 1, *(r.offset + 1 for r in mine if r.offset > told.offset)]
        states = [folded((r for r in mine if r.offset < end), made.fold, as_of_ms, world.home) for end in ends]
        found = known_to(model.state, told.user)
        for item in {item for state in states for item in state.get(told.user, {})} | found.keys():
            allowed = [state.get(told.user, {}).get(item) for state in states]
            if not any(_same(found.get(item), one) for one in allowed):
                raise Failure(
                    f"{replica.name}, epoch {model.epoch}: after {told.partition}:{told.offset} {told.user} has "
                    f"{item} at {found.get(item)}; it was and became {allowed}"
                )

    def sends(self, process: Process, record: Outgoing) -> None:
        """A dead letter is never written again below the position committed by who is not replaced (17)."""
        world = self._world
        if record.topic != world.DEAD or process.effects_left is not None:
            return
        place = (record.key or b"").decode()
        partition, offset = map(int, place.split(":"))
        if process.slot in world.group.members and world.group.owners[partition] != process.slot:
            return  # somebody else's by now, and this process does not know it yet
        committed = self._committed.get(partition, 0)
        if offset < committed:
            raise Failure(f"{process.name} writes the dead letter of {place} again; {committed} is committed")
        self._letters.add(place)

    def commits(self, process: Process, positions: Mapping[Partition, int]) -> None:
        """A group without members takes positions from anybody, those too that nobody who was not replaced knows of."""
        for (topic, partition), offset in positions.items():
            if topic == self._world.INPUT:
                before = self._committed.get(partition, 0)
                self._committed[partition] = offset if process.effects_left is None else min(offset, before)

    def at_rest(self) -> None:
        """Everything is where it belongs when all has come to rest."""
        self._dead_letters()
        self._registry()
        self._rubbish()
        for replica in self._world.replicas():
            self._state(replica)

    def _dead_letters(self) -> None:
        world = self._world
        wanted = {f"{r.partition}:{r.offset}": r.value or b"" for r in world.told if r.what == "unreadable"}
        letters = world.archive.get(world.DEAD, [])
        found = {(record.key or b"").decode(): record.value for record in letters}
        if found != wanted:
            raise Failure(f"dead letters missing: {wanted.keys() - found.keys()}; too many: {found.keys() - wanted}")

    def _registry(self) -> None:
        world = self._world
        registry = world.registry()
        for before, entry in zip(registry.epochs, registry.epochs[1:], strict=False):
            old, new = world.made[before.generation].covers, world.made[entry.generation].covers
            if not entry.reason and any(new[p] < offset for p, offset in old.items()):
                raise Failure(f"epoch {entry.epoch} covers less than epoch {before.epoch}, and is no rollback")
        newest = registry.newest_epoch
        for partition in range(world.plan.update_partitions if newest else 0):
            if not any(
                record.key == b"MODEL-REF"
                and (record.partition, dict(record.headers)["epoch"]) == (partition, b"%d" % newest.epoch)
                for record in world.archive.get(world.UPDATE, [])
            ):
                raise Failure(f"update partition {partition} has no MODEL-REF of epoch {newest.epoch}")

        undecided = [name for name in world.generations() if registry.state(name) is None]
        if undecided:
            raise Failure(f"nobody has promoted or rejected {undecided}")

    def _rubbish(self) -> None:
        half, stray = self._world.rubbish()
        if half or stray:
            raise Failure(f"left in the store: {half}; rows that no commit names: {stray}")
        if missing := self._world.missing():
            raise Failure(f"the history names files that are gone: {missing}")

    def _state(self, replica: ServingProcess) -> None:
        world, model = self._world, replica.served()
        newest = world.registry().newest_epoch
        if newest is None:
            if model is not None:
                raise Failure(f"{replica.name} serves {model.generation}, which is not in the registry")
            return
        if model is None or model.epoch != newest.epoch:
            raise Failure(f"{replica.name} serves epoch {model.epoch if model else None}, the newest is {newest.epoch}")
        if newest.generation not in self._rests:
            self._rests[newest.generation] = at_rest(world.told, world.made[newest.generation], world.home)
        differs = differences(model.state, self._rests[newest.generation])
        if differs:
            raise Failure(f"{replica.name}, epoch {newest.epoch}: " + "; ".join(differs))


def known_to(state: ModelState, user: str) -> dict[str, float]:
    """What a user knows in a state, by item."""
    handle = state.users.find(user)
    if handle < 0:
        return {}
    items, strengths = state.history(handle)
    return dict(zip(state.items.ids(items), strengths.tolist(), strict=True))


def differences(state: ModelState, rest: Rest) -> list[str]:
    """Say in which ways a state is not the one at rest."""
    found: list[str] = []
    users = {state.users.id(handle) for handle in range(len(state.users))} | rest.pairs.keys()
    items = {state.items.id(handle) for handle in range(len(state.items))} | rest.items.keys()
    for user in sorted(users):
        known, wanted = known_to(state, user), rest.pairs.get(user, {})
        if known.keys() != wanted.keys() or not all(_same(known[item], s) for item, s in wanted.items()):
            found.append(f"{user} knows {known}, not {wanted}")
    user_vectors = {user: state.user_vector(state.users.find(user)) for user in users}
    item_vectors = {item: state.item_vector(state.items.find(item)) for item in items}
    found += _wrong_vectors(user_vectors, rest.users)
    found += _wrong_vectors(item_vectors, rest.items)
    popularity = state.popularity()
    for item in sorted(items):
        handle, holders = state.items.find(item), sum(item in known for known in rest.pairs.values())
        if (int(popularity[handle]) if handle >= 0 else 0) != holders:
            found.append(f"{item} is known to {holders}, not to {int(popularity[handle])}")
    return found


def _wrong_vectors(found: Mapping[str, NDArray[np.float32] | None], wanted: Mapping[str, Vector]) -> list[str]:
    wrong = []
    for name in sorted(found):
        vector, right = found[name], wanted.get(name)
        if (vector is None) != (right is None):
            wrong.append(f"{name} has {'no' if vector is None else 'a'} vector")
        elif vector is not None and right is not None:
            off = float(np.linalg.norm(vector - right))
            if off > _VECTOR * float(np.linalg.norm(right)) + _CANCELLED:
                wrong.append(f"{name} has the vector {vector.tolist()}, not {right.tolist()}")
    return wrong


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= _STRENGTH * max(1.0, abs(other))
