"""What preparing a generation comes to."""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Prepared"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Counts of what lies in the staged directory now: IDs and histories of both sides, in files.

    ``pairs`` folded, of ``users`` and ``items`` that have one. ``seconds`` and ``bytes`` (written) by step.
    """

    users: int
    items: int
    pairs: int
    seconds: Mapping[str, float] = field(default_factory=dict)
    bytes: Mapping[str, int] = field(default_factory=dict)
