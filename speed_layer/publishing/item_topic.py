"""What other processes have to know of items goes into the item topic, before what is said of the items themselves."""

from collections.abc import Sequence

from msgspec.structs import replace

from oryx_py.messages import ItemGone, ItemVector, partition_of
from oryx_py.messages.blocks import Updates
from oryx_py.messages.item_state import AllSaid, ItemState
from speed_layer.limits import Topics
from speed_layer.publishing.outbox import Outbox
from speed_layer.publishing.records import state_records

__all__ = ["send_item_states"]


def send_item_states(
    updates: Sequence[Updates], item_known: dict[int, int], outbox: Outbox, topics: Topics, term: int | None
) -> Sequence[Updates]:
    """Send the states among the updates of an epoch; return the other updates, with the item topic's offsets.

    States come first, so that what is said of items has offsets that cover them.

    Args:
        updates: in the order to send.
        item_known: by partition of the item topic, the highest offset that the epoch's updates answer; raised here.
        outbox: where the states go.
        topics: names and sizes.
        term: of the sender; None for none.

    Raises:
        Interrupted: the process is asked to stop.
    """
    states = [update for update in updates if isinstance(update, ItemState | AllSaid)]
    if states:
        records = [
            record
            for state in states
            for record in state_records(replace(state, term=term or 0), topics.items, topics.input_partitions)
        ]
        for (_, partition), offset in outbox.deliver_placed(records).items():
            item_known[partition] = max(offset, item_known.get(partition, 0))
    others = [update for update in updates if not isinstance(update, ItemState | AllSaid)] if states else updates
    if not item_known:
        return others
    return [
        replace(update, item_input=item_known.get(partition_of(update.item, topics.input_partitions)))
        if isinstance(update, ItemVector | ItemGone)
        else update
        for update in others
    ]
