"""What an answer is, whatever it says, and how its rows are written.

Values are written in the form that ``write`` gives them: float32's shortest, or Java's.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from oryx_py.events.csv_line import join_fields

__all__ = [
    "NUMPY",
    "Answer",
    "Described",
    "StreamedAnswer",
    "Texts",
    "lines",
    "pairs_csv",
    "pairs_json",
    "shortest",
]

Texts: TypeAlias = Callable[[NDArray[Any]], list[str]]
"""How numbers are written in CSV."""

NUMPY: Final = orjson.OPT_SERIALIZE_NUMPY
_BLOCK_ROWS: Final = 4_096
"""Written at a time, in a millisecond: meanwhile no other thread runs."""


@dataclass(frozen=True, slots=True)
class Described:
    """A kind of answer, for the documentation: JSON Schema, and an example in both forms."""

    about: str
    schema: Mapping[str, Any]
    json_example: Any
    csv_example: str


class Answer(Protocol):
    """An answer that is there as a whole."""

    described: ClassVar[Described]

    def __len__(self) -> int:
        """Return how many rows it has."""
        ...

    def json(self) -> bytes:
        """Write it as JSON."""
        ...

    def csv(self, write: Texts) -> bytes:
        r"""Write it as lines, ``\n`` ended."""
        ...


class StreamedAnswer(Protocol):
    """An answer that comes piece by piece."""

    described: ClassVar[Described]

    def json_pieces(self) -> AsyncGenerator[bytes]:
        """Write it as JSON."""
        ...

    def csv_pieces(self, write: Texts) -> AsyncGenerator[bytes]:
        """Write it as lines."""
        ...


def shortest(values: NDArray[Any]) -> list[str]:
    """Write numbers in the shortest form that reads back as the same number of their type."""
    text = orjson.dumps(np.ascontiguousarray(values), option=NUMPY)[1:-1].decode()
    return text.split(",") if text else []


def pairs_json(names: Sequence[str], key: str, values: NDArray[Any]) -> bytes:
    """Write objects of an ``id`` and a value under a key."""
    if len(names) <= _BLOCK_ROWS:
        return _block_json(names, key, values)
    starts = range(0, len(names), _BLOCK_ROWS)
    blocks = (slice(start, start + _BLOCK_ROWS) for start in starts)
    return b"[" + b",".join([_block_json(names[block], key, values[block])[1:-1] for block in blocks]) + b"]"


def _block_json(names: Sequence[str], key: str, values: NDArray[Any]) -> bytes:
    return orjson.dumps([{"id": name, key: value} for name, value in zip(names, values, strict=True)], option=NUMPY)


def pairs_csv(names: Sequence[str], values: NDArray[Any], write: Texts) -> bytes:
    """Write lines of an ID and a value."""
    rows = zip(names, write(values), strict=True)
    return "".join([f"{join_fields([name])},{text}\n" for name, text in rows]).encode()


def lines(names: Sequence[str]) -> bytes:
    """Write a line an ID."""
    return "".join([f"{join_fields([name])}\n" for name in names]).encode()
