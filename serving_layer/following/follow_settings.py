"""What is followed, and with how much patience."""

from dataclasses import dataclass

__all__ = ["FollowSettings"]


@dataclass(frozen=True, slots=True)
class FollowSettings:
    """The topics to follow, and how long to wait before saying so, looking again, and trying again."""

    update_topic: str
    update_partitions: int
    input_partitions: int
    require_live: bool = True
    patience_s: float = 60.0
    """After which an epoch that is not served yet is warned about, and a speed layer that says nothing."""
    look_s: float = 1.0
    """Between two looks for epochs."""
    retry_s: float = 10.0
    """After which a refused generation is tried again; longer after further failures."""
