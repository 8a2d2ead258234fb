"""How a process becomes the owner of input partitions: it claims a term, and fences former owners with it.

1. take a term above those that the group has stored for the partitions, and above the update topic's end;
2. store it under the group's name;
3. name it in every partition of the update topic: from there on readers hear nobody with a lower one
   (`speed_layer.sharing.fence`).

=================  ====================================================================================================
killed after step  then …
=================  ====================================================================================================
1                  nothing has happened
2                  the term is never used; the next claim is above it
3                  as after any start: the next owner claims a higher one
=================  ====================================================================================================

A former owner that wakes up between two steps has a lower term than who has taken over.
"""

from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from dataclasses import dataclass

from oryx_py.errors import Replaced
from oryx_py.ports import Consumer, Partition, TopicAdmin
from oryx_py.ports.membership import Membership

__all__ = ["Ownership", "Part", "claim"]


@dataclass(frozen=True, slots=True)
class Ownership:
    """A process's ownership of input partitions.

    Attributes:
        term: with which it signs what it sends.
        of_all: of the group's positions, where the term of who owns all partitions is stored.
        of_some: by input partition, where that of its owner is stored if there are several.
        new_group: makes a consumer of the group.
    """

    term: int
    of_all: Partition
    of_some: Mapping[int, Partition]
    new_group: Callable[[], Consumer]

    def confirm(self, partitions: Collection[int] | None = None) -> None:
        """Do as `confirm_by`, in any thread."""
        with closing(self.new_group()) as group:
            self.confirm_by(group, partitions)

    def confirm_by(self, group: Consumer, partitions: Collection[int] | None = None) -> None:
        """Return if nobody has claimed these partitions since, as the group says; None for all that were claimed.

        Raises:
            Replaced: somebody has.
            BrokerUnavailable: no answer in time.
        """
        places = [self.of_all, *(where for p, where in self.of_some.items() if partitions is None or p in partitions)]
        if any(other is not None and other > self.term for other in group.committed(places).values()):
            raise Replaced(
                "another speed layer was started and has taken over; this one ends: run one alone, or give each a name "
                "(speed.instance), and they share the input"
            )


@dataclass(frozen=True, slots=True)
class Part:
    """What the group has given to a process that shares the input with others, and that it has claimed.

    Attributes:
        partitions: of the input topic.
        ownership: of these.
        new_group: makes a consumer whose commits are those of the member that owns them.
    """

    partitions: frozenset[int]
    ownership: Ownership
    new_group: Callable[[], Consumer]


def claim(
    new_group: Callable[[], Consumer],
    admin: TopicAdmin,
    items_topic: str,
    update_topic: str,
    partitions: Collection[int],
    member: Membership | None = None,
) -> Ownership:
    """Return the ownership of input partitions, its term higher than that of any owner before; steps 1 and 2.

    It stands in the group's position of the update topic's first partition, which the group reads nothing of; those of
    owners of some, who are members, in that of the item topic's partitions of the same numbers, of which the group
    reads nothing either. Should the group forget it (Kafka does after a week without members), the update topic's end
    is above all the same.

    Args:
        new_group: makes a consumer of the group.
        admin: of the topics.
        items_topic, update_topic: their names.
        partitions: of the input topic.
        member: of the group, that they were given to; None where the group has no members.

    Raises:
        BrokerUnavailable: no answer in time; or the member has lost the partitions, and does not know it yet.
        ConfigError: the group refuses it.
    """
    of_some = {partition: (items_topic, partition) for partition in sorted(partitions)}
    of_all = (update_topic, 0)
    with closing(new_group()) as group:
        stored = [term for term in group.committed([of_all, *of_some.values()]).values() if term is not None]
        term = max([admin.end_offsets(update_topic)[0], *(term + 1 for term in stored)])
        if member is None:
            group.commit({of_all: term})
        else:
            member.commit(dict.fromkeys(of_some.values(), term))
    return Ownership(term, of_all, of_some, new_group)
