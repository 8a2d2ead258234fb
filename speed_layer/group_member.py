"""One of several speed processes: a speed layer for each set of input partitions that it was given at once.

Each step:

1. hear of the group what was gained and lost;
2. let go of what was lost: between two steps everything folded is announced, or is folded again by the next owner;
3. claim what was gained, before the group is asked again, so that it is this process's still; load it aside;
4. do a step of each layer.

=================  ====================================================================================================
killed after step  then …
=================  ====================================================================================================
1, 2               the group gives the partitions to others when it notices; or again to who comes back in time
3                  the term is never used; the next owner claims a higher one
4                  as `speed_layer.layer` has it
=================  ====================================================================================================
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future

import structlog

from oryx_py.errors import Transient
from oryx_py.ports import Clock, Consumer, EndOfPartition, Partition, Record
from oryx_py.ports.membership import Membership
from speed_layer.layer import SpeedLayer
from speed_layer.sharing.claiming import Ownership

__all__ = ["GroupMember", "MemberConsumer"]

log = structlog.get_logger("speed")

_SEVERAL_S = 0.005
"""Longest wait of one layer's step where there are several."""
_RETRY_S = 0.5
"""Between two attempts at partitions: each asks the broker, and most add a record to every update partition."""


class MemberConsumer:
    """A consumer whose positions are stored by the member that its process is."""

    def __init__(self, consumer: Consumer, membership: Membership) -> None:
        self._consumer, self._membership = consumer, membership

    def assign(self, positions: Mapping[Partition, int]) -> None:
        """As the consumer."""
        self._consumer.assign(positions)

    def poll(self, max_records: int, timeout_s: float) -> list[Record | EndOfPartition]:
        """As the consumer."""
        return self._consumer.poll(max_records, timeout_s)

    def positions(self) -> dict[Partition, int]:
        """As the consumer."""
        return self._consumer.positions()

    def ends(self) -> dict[Partition, int]:
        """As the consumer."""
        return self._consumer.ends()

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """As the member."""
        self._membership.commit(positions)

    def committed(self, partitions: Iterable[Partition]) -> dict[Partition, int | None]:
        """As the member."""
        return self._membership.committed(partitions)

    def close(self) -> None:
        """Give the consumer back; the process stays a member."""
        self._consumer.close()


class GroupMember:
    """Owns a process's layers; one thread calls `step` again and again.

    Args:
        membership: of the group that shares the input topic.
        claim: takes a term for partitions gained.
        load: begins to put a layer for partitions together, aside.
        clock: to wait by while there is none.
    """

    def __init__(
        self,
        membership: Membership,
        claim: Callable[[frozenset[int]], Ownership],
        load: Callable[[frozenset[int], Ownership], "Future[SpeedLayer]"],
        clock: Clock,
    ) -> None:
        self._membership, self._claim, self._load, self._clock = membership, claim, load, clock
        self.layers: list[SpeedLayer] = []
        self._owned: set[int] = set()
        self._unclaimed: set[int] = set()
        self._not_before = 0.0
        """On the clock, when those are claimed that could not be, or not be loaded."""
        self._loading: list[tuple[frozenset[int], Future[SpeedLayer]]] = []

    def step(self, timeout_s: float) -> None:
        """Do one round; waits up to the timeout for something to do.

        Raises:
            Interrupted: the layer was asked to stop while records waited.
            Stop: somebody has to act.
        """
        changes = self._membership.poll()
        if changes.lost:
            self._let_go(changes.lost)
        self._owned |= changes.gained
        self._unclaimed |= changes.gained
        if self._unclaimed and self._clock.monotonic() >= self._not_before:
            self._begin()
        self._adopt()
        if not self.layers:
            self._clock.sleep(min(timeout_s, _SEVERAL_S))
        for layer in self.layers:
            layer.step(timeout_s if len(self.layers) == 1 else min(timeout_s, _SEVERAL_S))

    @property
    def loads(self) -> bool:
        """Whether there are partitions of which no layer is there yet."""
        return bool(self._loading or self._unclaimed)

    def waiting_for(self) -> list[str]:
        """Say what readiness waits for; empty where there is nothing."""
        loading = sorted({p for partitions, _ in self._loading for p in partitions} | self._unclaimed)
        reasons = [f"loading input partitions {loading}"] if loading else []
        if not self._owned:
            reasons.append("the group has given this process no input partition")
        return reasons + [reason for layer in self.layers for reason in layer.waiting_for()]

    def close(self) -> None:
        """Commit what there is to commit, and give everything back; partitions stay ours for a while."""
        for layer in self.layers:
            layer.close()
        for _, future in self._loading:
            future.add_done_callback(lambda done: None if done.exception() else done.result().close())
        self._membership.close()

    def _let_go(self, lost: frozenset[int]) -> None:
        log.info("partitions_lost", partitions=sorted(lost))
        self._owned -= lost
        self._unclaimed -= lost
        for layer in list(self.layers):
            if layer.partitions <= lost:
                self.layers.remove(layer)
                layer.close(lost=True)
            else:
                layer.release(lost)

    def _begin(self) -> None:
        partitions = frozenset(self._unclaimed)
        try:
            ownership = self._claim(partitions)
        except Transient as trouble:
            log.warning("partitions_not_claimed", reason=str(trouble))
            self._not_before = self._clock.monotonic() + _RETRY_S
            return
        log.info("partitions_gained", partitions=sorted(partitions), term=ownership.term)
        self._unclaimed.clear()
        self._loading.append((partitions, self._load(partitions, ownership)))

    def _adopt(self) -> None:
        for entry in [entry for entry in self._loading if entry[1].done()]:
            self._loading.remove(entry)
            partitions, future = entry
            try:
                layer = future.result()
            except Transient as trouble:
                log.warning("waiting_to_start", reason=str(trouble))
                self._unclaimed |= partitions & self._owned
                self._not_before = self._clock.monotonic() + _RETRY_S
                continue
            # What was lost meanwhile, and perhaps gained again: that is claimed anew, with a layer of its own.
            others = {p for layer in self.layers for p in layer.partitions} | self._unclaimed
            others |= {p for later, _ in self._loading for p in later}
            kept = (partitions & self._owned) - others
            if kept:
                layer.release(partitions - kept)
                self.layers.append(layer)
            else:
                layer.close(lost=True)
