"""Clients: they post what users do, and read what they wrote."""

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from oryx_py.messages import partition_of
from oryx_py.ports import Outgoing
from tests.simulation.process import Action, Process
from tests.simulation.told import Told, What

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["Clients"]

_STRENGTHS = (1.0, 2.0, 0.5, 0.25, -1.0, 3.0, 0.0)
_NEVER_READABLE = (
    b"\xff\xfe\x00",
    b"",
    b"alone",
    b'{"user":"u0"}',
    b",i0,1.0",
    b"u0,,2.0",
    b"u0,i0,much",
    b"u0,i0,nan",
)


class Clients(Process):
    """All clients together; they die never, but what they are told of a write may get lost, and they send it again."""

    def __init__(self, world: "World") -> None:
        super().__init__(world, "clients")
        plan = world.plan
        self._users = [f"u{n}" for n in range(plan.users)]
        self._items = [f"i{n}" for n in range(plan.items)]
        self._sent: list[tuple[Told, Sequence[int]]] = []
        """What had a key, and the partitions that it belongs into."""
        self._keys = 0
        self.to_read: list[Told] = []
        """Acknowledged writes of users, to be read back."""

    def actions(self) -> list[Action]:
        """Post, or read back."""
        post: list[Action] = [(3.0, "post", self._post)] if len(self.world.told) < self.world.plan.records else []
        return [*post, (1.0, "ask", self._ask)]

    def _post(self) -> None:
        world = self.world
        plan, rng = world.plan, world.rng
        if world.log.down:
            return
        if self._sent and world.chance(plan.repeats):
            told, partitions = rng.choice(self._sent)
            self._put(told, partitions)
        elif self.to_read and world.chance(plan.regrets):
            last = self.to_read[-1]
            self._new("delete" if rng.random() < 0.8 else "forget user", last.user, last.item)
        elif world.chance(plan.unreadable):
            self._put_unreadable()
        elif world.chance(plan.forgets):
            if rng.random() < 0.5:
                self._new("forget user", rng.choice(self._users), "")
            else:
                self._new("forget item", "", self._item())
        else:
            what: What = "delete" if world.chance(plan.deletes) else "add"
            self._new(what, rng.choice(self._users), self._item())

    def _item(self) -> str:
        rng, half = self.world.rng, len(self._items) // 2
        return rng.choice(self._items[half:] if self.world.chance(self.world.plan.new_items) else self._items[:half])

    def _new(self, what: What, user: str, item: str) -> None:
        world = self.world
        rng, id_ = world.rng, None
        if what == "forget item" or rng.random() < 0.5:
            self._keys += 1
            id_ = f"key {self._keys if rng.random() < 0.95 else 1}".encode()
        strength = rng.choice(_STRENGTHS) if what == "add" else 0.0
        now_ms = world.clock.now_ms()
        time_ms = rng.choice([None, now_ms, now_ms - rng.randint(0, 30_000), now_ms + 60_000])
        kind = rng.choice([None, "buy", "view", "else"])
        item = "" if what == "forget user" else item or self._item()
        value = _value(what, user, item, strength, time_ms, kind, rng.choice([_csv, _json]))
        told = Told(-1, -1, 0, what, user, item, strength, time_ms, kind, id_, value)
        home = range(world.plan.partitions) if not user else [world.home[user]]
        if id_ is not None:
            self._sent.append((told, home))
        # Who sends to all partitions may die on the way; he then sends to all again.
        self._put(told, home if rng.random() < 0.8 else home[: rng.randint(0, len(home))])

    def _put_unreadable(self) -> None:
        world = self.world
        partition = world.rng.randrange(world.plan.partitions)
        value = world.rng.choice([None, *_NEVER_READABLE, *(f"{user},i0,1.0".encode() for user in self._users)])
        user = (value or b"").split(b",")[0].decode("utf-8", "replace")
        if value is not None and value not in _NEVER_READABLE and world.home[user] == partition:
            return
        id_ = b"key 1" if world.rng.random() < 0.2 else None
        self._put(Told(-1, -1, 0, "unreadable", id=id_, value=value), [partition])

    def _put(self, told: Told, partitions: Sequence[int]) -> None:
        world = self.world
        for partition in partitions:
            headers = () if told.id is None else (("id", told.id),)
            record = Outgoing(world.INPUT, told.value, told.user.encode() or None, headers, partition)
            stored = world.tell(told, record)
            if stored.what in {"add", "delete", "forget user"}:
                self.to_read.append(stored)

    def _ask(self) -> None:
        """Read with ``after`` what was written, from any replica that says that it has it."""
        if not self.to_read:
            return
        told = self.world.rng.choice(self.to_read[-20:])
        for replica in self.world.replicas():
            if replica.alive:
                self.world.checks.reads_own_write(replica, told)


def _value(
    what: What,
    user: str,
    item: str,
    strength: float,
    time_ms: int | None,
    kind: str | None,
    write: Callable[[list[str | float | int]], bytes],
) -> bytes:
    fields: list[str | float | int] = [user, item, strength if what == "add" else ""]
    if time_ms is not None or kind is not None:
        fields.append("" if time_ms is None else time_ms)
    if kind is not None:
        fields.append(kind)
    return write(fields)


def _csv(fields: list[str | float | int]) -> bytes:
    return ",".join(map(str, fields)).encode()


def _json(fields: list[str | float | int]) -> bytes:
    return json.dumps(fields).encode()


def home_of(user: str, partitions: int) -> int:
    """The input partition of a user."""
    return partition_of(user, partitions)
