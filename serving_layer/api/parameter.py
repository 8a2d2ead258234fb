"""One parameter, or some that make one value: what a declaration in `arguments` consists of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

__all__ = ["Group", "Parameter", "Place"]


class Place(Enum):
    """Where a parameter stands."""

    SEGMENT = "segment"
    """One segment of the path."""
    REST = "rest"
    """All further segments of the path, one or more."""
    QUERY = "query"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter.

    Args:
        name: on the wire.
        place: where it stands.
        read: makes its value from the texts: the still-escaped segments of a path, the decoded values of a query;
            raises `Problem` 400, which names the parameter.
        schema: JSON Schema of one of them; the default is the handler's.
        about: for people, in one or two sentences.
        examples: named ones.
        most: how many times the query may have it; more than once, its value is a list.
        optional: whether the path may end before it.
    """

    name: str
    place: Place
    read: Callable[[Sequence[str]], Any]
    schema: Mapping[str, Any]
    about: str
    examples: Mapping[str, Any] = field(default_factory=dict)
    most: int = 1
    optional: bool = False

    @property
    def repeated(self) -> bool:
        """Whether the query may have it several times."""
        return self.most > 1


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters that make one value together; ``make`` takes their values in order, and raises `Problem` 400."""

    parts: tuple[Parameter, ...]
    defaults: tuple[Any, ...]
    make: Callable[..., Any]
