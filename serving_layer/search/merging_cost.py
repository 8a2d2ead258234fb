"""How long it takes to put what was found in order, in the words of `offload`. Pure."""

from serving_layer.event_loop.offload import COST_OF_NAMING, COST_OF_RANKING

__all__ = ["cost_of_merging"]


def cost_of_merging(count: int, new: int) -> int:
    """Return about what `merged` takes at most, of ``count`` items, ``new`` of which the generation does not have.

    Should all be tied, each new one is looked for among the others by name. So up to some hundred new ones are put in
    order on the loop, in no more than three times what going to a thread and back takes; and no page of 25 waits for a
    thread unless many more than these are tied.
    """
    return COST_OF_RANKING * count + COST_OF_NAMING * new * count.bit_length()
