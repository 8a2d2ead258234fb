"""Which epochs stay when one more is loaded. Decides; changes nothing.

At most two are followed. Readers serve the newest epoch that is live in all input partitions, and each process speaks
for its own alone. So an epoch that it has announced live is a promise: it may become live everywhere by what another
says, at any moment, and be served from then on.
"""

from collections.abc import Collection, Sequence

from speed_layer.epochs.run import EpochRun

__all__ = ["kept_beside"]


def kept_beside(runs: Sequence[EpochRun], partitions: Collection[int]) -> list[EpochRun] | None:
    """Return the runs to go on with beside one that is loaded, at most one; None where that one has to wait.

    Of two, the older goes if it is not live, and the newer if it is not live here. If both are, the older goes when
    the newer has been live everywhere for the overlap, which is not for this to say; and the newer goes when it cannot
    become so any more, since the owner of a partition that is not live in it announces a later one: the coming one, or
    one between that this process never followed. Until then the coming one waits: it cannot be live everywhere either
    before that owner announces it.

    Args:
        runs: held, oldest first.
        partitions: of the input topic.
    """
    if len(runs) < 2:
        return list(runs)
    older, newer = runs
    if not older.is_live:
        return [newer]
    if not newer.is_live or newer.is_passed_over(partitions):
        return [older]
    return None
