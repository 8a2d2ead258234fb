"""A process that is given partitions and cannot begin with them."""

from collections.abc import Iterable, Mapping
from concurrent.futures import Future

import pytest

from oryx_py.errors import BrokerUnavailable, StoreUnavailable
from oryx_py.ports import Consumer, Partition
from oryx_py.ports.membership import Changes
from speed_layer.group_member import GroupMember
from speed_layer.layer import SpeedLayer
from speed_layer.sharing.claiming import Ownership
from tests.support.ticking import Ticking


class Given:
    """A member that is given one partition, once."""

    def __init__(self) -> None:
        self._changes = [Changes(frozenset({0}))]

    def poll(self) -> Changes:
        return self._changes.pop() if self._changes else Changes()

    def commit(self, positions: Mapping[Partition, int]) -> None: ...

    def committed(self, partitions: Iterable[Partition]) -> dict[Partition, int | None]:
        return dict.fromkeys(partitions)

    def close(self) -> None: ...


def no_consumer() -> Consumer:
    raise AssertionError


@pytest.mark.parametrize("fails", ["claim", "load"])
def test_who_cannot_begin_tries_again_but_not_all_the_time(fails: str) -> None:
    """Each attempt stores a term and says it in the update topic: a store that is away must not fill that."""
    clock, attempts = Ticking(), list[float]()

    def claim(partitions: frozenset[int]) -> Ownership:
        assert partitions == {0}
        attempts.append(clock.now)
        if fails == "claim":
            raise BrokerUnavailable("away")
        return Ownership(1, ("updates", 0), {0: ("items", 0)}, no_consumer)

    def load(_: frozenset[int], __: Ownership) -> "Future[SpeedLayer]":
        loading = Future[SpeedLayer]()
        loading.set_exception(StoreUnavailable("away"))
        return loading

    process = GroupMember(Given(), claim, load, clock)
    begin = clock.now
    while clock.now < begin + 10:
        process.step(0.1)
        assert process.waiting_for() == ["loading input partitions [0]"]
        clock.now += 0.005
    assert 10 <= len(attempts) <= 50, attempts
    assert attempts[0] == begin, "the first at once"
