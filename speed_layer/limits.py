"""What a speed layer reads and writes, and its bounds."""

from dataclasses import dataclass

__all__ = ["Limits", "Topics", "rested_at"]

_REST = 3.0


def rested_at(begun: float, ended: float) -> float:
    """Return since when the pause before the next attempt counts, after one in vain.

    Where the group's positions are on a broker that is away, each question about them waits for its answer, and with
    it folding, which may have all that it needs: so that gets some times as long as the waiting took.
    """
    return ended + _REST * (ended - begun)


@dataclass(frozen=True, slots=True)
class Topics:
    """The names and sizes of what the layer reads and writes."""

    input: str
    input_partitions: int
    update: str
    update_partitions: int
    max_record_bytes: int
    items: str = ""
    """The item topic, which has the input's partitions; empty where nothing is written to it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The layer's bounds and intervals."""

    max_batch_records: int = 10_000
    replay_slice_users: int = 2_048
    replay_turn_records: int = 1_000
    """Of a replay between two turns of an epoch that is followed: some milliseconds, so that this one stays fresh."""
    replay_turn_users: int = 256
    """Likewise of the users that it solves."""
    stale_solves: int = 2_000
    stale_pairs: int = 500_000
    item_states: int = 20_000
    idle_progress_s: float = 1.0
    registry_poll_s: float = 0.5
    load_retry_s: float = 10.0
    epoch_overlap_s: float = 60.0
    patience_s: float = 10.0
    owner_check_s: float = 5.0
