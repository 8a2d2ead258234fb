"""What a topic has of somebody forgotten, by what it is and by partition. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from oryx_py.cli.forget.proof import Held

__all__ = ["Finds"]


@dataclass(slots=True)
class Finds:
    """Counts what is below the forget, and what came since, until it shows that this was old, too."""

    old: dict[str, dict[int, Held]] = field(default_factory=dict)
    """In words what it is, and by partition how much."""
    since: dict[str, dict[int, Held]] = field(default_factory=dict)
    """The same of what came after the forget."""

    def add(self, what: str, partition: int, timestamp_ms: int, *, old: bool) -> None:
        """Count one record."""
        found = self.old if old else self.since
        found.setdefault(what, {}).setdefault(partition, Held()).add(timestamp_ms)

    def settle(self, partition: int) -> None:
        """Take all that came in a partition until now for old: a forget followed, or none ever came."""
        for what, since in self.since.items():
            if (held := since.pop(partition, None)) is not None:
                self.old.setdefault(what, {}).setdefault(partition, Held()).add(held.newest_ms, held.count)

    def again(self, what: str) -> int:
        """Return how much came since."""
        return sum(held.count for held in self.since.get(what, {}).values())

    def left(self) -> list[tuple[str, Held, str]]:
        """Return what is old: in words, all of it together, and by partition how much: ``0: 12, 3: 1``."""
        return [(what, _together(found), _in_words(found)) for what, found in self.old.items()]


def _together(found: Mapping[int, Held]) -> Held:
    return Held(sum(held.count for held in found.values()), max(held.newest_ms for held in found.values()))


def _in_words(found: Mapping[int, Held]) -> str:
    return ", ".join(f"{partition}: {each.count:,}" for partition, each in sorted(found.items()))
