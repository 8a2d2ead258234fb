"""What the names of a lease's files say: ``<n>.lock``, ``<n>.<m>.beat`` and ``<n>.free``. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["NAME", "LeaseState", "lease_state", "lock_name"]

NAME = re.compile(r"(\d{12})\.(?:(lock)|(free)|(\d{12})\.beat|[0-9a-f]{16}\.try)")
"""The lock's number, then what kind of file it is; a beat has a number of its own."""


@dataclass(frozen=True, slots=True)
class LeaseState:
    """The newest lock: its number, 0 before the first; its newest beat; whether it was given back."""

    number: int = 0
    beat: int = 0
    free: bool = True


def lease_state(names: Iterable[str]) -> LeaseState:
    """Return how it stands by the names of the files; names of other kinds are ignored."""
    found = [match for name in names if (match := NAME.fullmatch(name))]
    number = max((int(match[1]) for match in found if match[2]), default=0)
    of_it = [match for match in found if int(match[1]) == number]
    beat = max((int(match[4]) for match in of_it if match[4]), default=0)
    return LeaseState(number, beat, not number or any(match[3] for match in of_it))


def lock_name(number: int) -> str:
    """Return the name of the file that says who holds the lock of this number."""
    return f"{number:012}.lock"
