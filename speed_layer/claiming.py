"""How a process becomes the owner of input partitions: it claims a term, and fences former owners with it.

1. take a term above those that the group has stored for the partitions, and above the update topic's end;
2. store it under the group's name;
3. name it in every partition of the update topic: from there on readers hear nobody with a lower one.

=================  ====================================================================================================
killed after step  then …
=================  ====================================================================================================
1                  nothing has happened
2                  the term is never used; the next claim is above it
3                  as after any start: the next owner claims a higher one
=================  ====================================================================================================

A former owner that wakes up between two steps has a lower term than who has taken over.
"""

from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import dataclass

from oryx_py.errors import Replaced
from oryx_py.ports import Consumer, Partition, TopicAdmin
from speed_layer.outbox import Outbox
from speed_layer.outgoing import progress_records

__all__ = ["Fence", "Ownership", "claim"]


@dataclass(frozen=True, slots=True)
class Ownership:
    """A process's ownership of input partitions.

    Attributes:
        term: with which it signs what it sends.
        places: of the group's positions, where terms of owners of these partitions may be stored.
        new_group: makes a consumer of the group.
    """

    term: int
    places: tuple[Partition, ...]
    new_group: Callable[[], Consumer]

    def confirm(self) -> None:
        """Do as `confirm_by`, in any thread."""
        with closing(self.new_group()) as group:
            self.confirm_by(group)

    def confirm_by(self, group: Consumer) -> None:
        """Return if nobody has claimed these partitions since, as the group says.

        Raises:
            Replaced: somebody has.
            BrokerUnavailable: no answer in time.
        """
        if any(other is not None and other > self.term for other in group.committed(self.places).values()):
            raise Replaced(
                "another speed layer was started and has taken over; this one ends: run one alone, or give each its "
                "own topics and speed.group_id"
            )


def claim(
    new_group: Callable[[], Consumer],
    admin: TopicAdmin,
    items_topic: str,
    update_topic: str,
    partitions: Collection[int],
) -> Ownership:
    """Return the ownership of all input partitions, its term higher than that of any owner before; steps 1 and 2.

    It stands in the group's position of the update topic's first partition, which the group reads nothing of; those of
    the item topic are for owners of some. Should the group forget it (Kafka does after a week without members), the
    update topic's end is above all the same.

    Raises:
        BrokerUnavailable: no answer in time.
        ConfigError: the group refuses it.
    """
    places = ((update_topic, 0), *((items_topic, partition) for partition in sorted(partitions)))
    with closing(new_group()) as group:
        stored = [term for term in group.committed(places).values() if term is not None]
        term = max([admin.end_offsets(update_topic)[0], *(term + 1 for term in stored)])
        group.commit({(update_topic, 0): term})
    return Ownership(term, places, new_group)


class Fence:
    """Names a term in every partition of the update topic; step 3. Any thread may.

    Args:
        outbox: where to.
        topic, update_partitions: the update topic.
        term: of the ownership.
        partitions: the input partitions owned.
    """

    def __init__(
        self, outbox: Outbox, topic: str, update_partitions: int, term: int, partitions: Collection[int]
    ) -> None:
        self._outbox, self._topic, self._update_partitions = outbox, topic, update_partitions
        self.term = term
        self._nothing = dict.fromkeys(sorted(partitions), False)

    def raise_in(self, epoch: int) -> None:
        """Return when every update partition has it: as a ``PROGRESS`` of this epoch that announces nothing.

        Raises:
            Interrupted: the process is asked to stop.
        """
        self._outbox.deliver(
            progress_records(epoch, {}, self._nothing, self._topic, self._update_partitions, self.term)
        )
