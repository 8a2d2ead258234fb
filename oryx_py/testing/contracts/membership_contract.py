"""What every ``Membership`` has to do."""

from collections.abc import Callable

import pytest

from oryx_py.errors import OryxError
from oryx_py.ports.membership import Membership

__all__ = ["Members", "MembershipContract"]


class Members:
    """Members of one group of a topic with some partitions, polled in turns.

    Args:
        join: makes a member under a name.
        wait: lets some time pass.
        partitions: of the topic.
    """

    def __init__(self, join: Callable[[str], Membership], wait: Callable[[], None], partitions: int) -> None:
        self._join, self._wait, self.partitions = join, wait, frozenset(range(partitions))
        self.members: dict[str, Membership] = {}
        self.owned: dict[str, frozenset[int]] = {}
        self.lost: dict[str, frozenset[int]] = {}

    def join(self, name: str) -> Membership:
        """Let one join, or come back."""
        self.members[name] = self._join(name)
        self.owned[name] = self.lost[name] = frozenset()
        return self.members[name]

    def round(self) -> None:
        """Poll each, and see that no two have the same."""
        for name, member in self.members.items():
            changes = member.poll()
            self.lost[name] |= changes.lost
            self.owned[name] = (self.owned[name] - changes.lost) | changes.gained
            others = [owned for other, owned in self.owned.items() if other != name]
            assert not any(owned & self.owned[name] for owned in others)
        self._wait()

    def until(self, holds: Callable[[], bool]) -> None:
        """Go on until something holds."""
        for _ in range(3_000):
            if holds():
                return
            self.round()
        raise AssertionError(f"still {self.owned}")

    def until_shared(self) -> None:
        """Go on until every partition has an owner, and each member some."""
        self.until(lambda: frozenset().union(*self.owned.values()) == self.partitions and all(self.owned.values()))

    def end(self, name: str) -> None:
        """Close one, which does not leave."""
        self.members.pop(name).close()
        del self.owned[name]


class MembershipContract:
    """Inherit, and give the fixture ``members``; ``items`` is a topic that there is."""

    items = "items"

    @pytest.fixture
    def members(self) -> Members:
        """Nobody yet, of a group with four partitions at least."""
        raise NotImplementedError

    def test_who_is_alone_owns_everything(self, members: Members) -> None:
        """One member has all partitions."""
        members.join("one")
        members.until_shared()
        assert members.owned["one"] == members.partitions

    def test_a_partition_that_moves_is_let_go_of_first_and_no_other_moves(self, members: Members) -> None:
        """A second member gets what the first has given up, and no more than has to move."""
        members.join("one")
        members.until_shared()
        members.join("two")
        members.until_shared()
        assert members.lost["one"] == members.owned["two"]
        assert not members.lost["two"]
        assert len(members.owned["one"]) >= len(members.partitions) // 2

    def test_who_comes_back_in_time_keeps_what_it_had_and_disturbs_nobody(self, members: Members) -> None:
        """A name has the same partitions again."""
        members.join("one")
        members.join("two")
        members.until_shared()
        before = dict(members.owned)
        members.end("two")
        members.lost["one"] = frozenset()
        members.join("two")
        members.until(lambda: bool(members.owned["two"]))
        for _ in range(20):
            members.round()
        assert members.owned == before
        assert not members.lost["one"]

    def test_who_does_not_come_back_is_given_up(self, members: Members) -> None:
        """After the session the others have everything."""
        members.join("one")
        members.join("two")
        members.until_shared()
        members.end("two")
        members.until(lambda: members.owned["one"] == members.partitions)

    def test_positions_of_members_are_kept_and_those_of_who_was_replaced_are_refused(self, members: Members) -> None:
        """A former owner can store nothing any more."""
        former = members.join("one")
        members.until_shared()
        former.commit({(self.items, 0): 7})
        assert former.committed([(self.items, 0), (self.items, 1)]) == {(self.items, 0): 7, (self.items, 1): None}
        owner = members.join("one")
        members.until_shared()
        with pytest.raises(OryxError):
            former.commit({(self.items, 0): 8})
        assert owner.committed([(self.items, 0)]) == {(self.items, 0): 7}
        former.close()
