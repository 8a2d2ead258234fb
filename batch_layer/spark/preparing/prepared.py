"""What preparing a generation comes to."""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Prepared"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Counts of what lies in the staged directory now: IDs and histories of both sides, in files.

    ``pairs`` folded, of ``users`` and ``items`` that have one. ``as_of_ms`` is the newest Kafka timestamp in the
    history; ``repeats`` rows were ignored for their ID, and ``dedupe_from`` is as in the manifest. ``seconds`` and
    ``bytes`` (written) by step.
    """

    users: int
    items: int
    pairs: int
    as_of_ms: int
    repeats: int = 0
    dedupe_from: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    bytes: Mapping[str, int] = field(default_factory=dict)
