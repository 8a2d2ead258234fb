"""What handlers answer, in JSON and in CSV.

Values are written in the form that ``write`` gives them: float32's shortest, or Java's.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from oryx_py.events.csv_line import join_fields

__all__ = [
    "Answer",
    "Counted",
    "Described",
    "Names",
    "NoContent",
    "Number",
    "Numbers",
    "Scored",
    "StreamedAnswer",
    "StreamedNames",
    "Texts",
    "shortest",
]

Texts: TypeAlias = Callable[[NDArray[Any]], list[str]]
"""How numbers are written in CSV."""

_NUMPY: Final = orjson.OPT_SERIALIZE_NUMPY
_BLOCK_ROWS: Final = 4_096
"""Written at a time, in a millisecond: meanwhile no other thread runs."""
_ID: Final = {"type": "string", "minLength": 1}


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
    text = orjson.dumps(np.ascontiguousarray(values), option=_NUMPY)[1:-1].decode()
    return text.split(",") if text else []


def _rows(key: str, kind: str, value: float, about: str) -> Described:
    row = {
        "type": "object",
        "required": ["id", key],
        "properties": {"id": _ID, key: {"type": kind}},
        "additionalProperties": False,
    }
    return Described(about, {"type": "array", "items": row}, [{"id": "I7", key: value}], f"I7,{value}\n")


def _pairs_json(names: Sequence[str], key: str, values: NDArray[Any]) -> bytes:
    if len(names) <= _BLOCK_ROWS:
        return _block_json(names, key, values)
    starts = range(0, len(names), _BLOCK_ROWS)
    blocks = (slice(start, start + _BLOCK_ROWS) for start in starts)
    return b"[" + b",".join([_block_json(names[block], key, values[block])[1:-1] for block in blocks]) + b"]"


def _block_json(names: Sequence[str], key: str, values: NDArray[Any]) -> bytes:
    return orjson.dumps([{"id": name, key: value} for name, value in zip(names, values, strict=True)], option=_NUMPY)


def _pairs_csv(names: Sequence[str], values: NDArray[Any], write: Texts) -> bytes:
    lines = zip(names, write(values), strict=True)
    return "".join([f"{join_fields([name])},{text}\n" for name, text in lines]).encode()


def _lines(names: Sequence[str]) -> bytes:
    return "".join([f"{join_fields([name])}\n" for name in names]).encode()


@dataclass(frozen=True, slots=True)
class Scored:
    """IDs and float32[n] scores, in order."""

    described: ClassVar = _rows("value", "number", 0.14, "IDs with their scores, in order.")

    names: Sequence[str]
    values: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.names)

    def json(self) -> bytes:
        """Write objects with ``id`` and ``value``."""
        return _pairs_json(self.names, "value", self.values)

    def csv(self, write: Texts) -> bytes:
        """Write lines ``id,value``."""
        return _pairs_csv(self.names, self.values, write)


@dataclass(frozen=True, slots=True)
class Counted:
    """IDs and int64[n] counts, largest first; float64[n] where a rescorer changed them."""

    described: ClassVar = _rows("count", "number", 6, "IDs with their counts, largest first.")

    names: Sequence[str]
    counts: NDArray[np.int64] | NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.names)

    def json(self) -> bytes:
        """Write objects with ``id`` and ``count``."""
        return _pairs_json(self.names, "count", self.counts)

    def csv(self, write: Texts) -> bytes:
        """Write lines ``id,count``."""
        return _pairs_csv(self.names, self.counts, shortest if self.counts.dtype.kind == "i" else write)


@dataclass(frozen=True, slots=True)
class Names:
    """IDs, in order."""

    described: ClassVar = Described("IDs.", {"type": "array", "items": _ID}, ["a", "b"], "a\nb\n")

    ids: Sequence[str]

    def __len__(self) -> int:
        return len(self.ids)

    def json(self) -> bytes:
        """Write an array of IDs."""
        return orjson.dumps(self.ids)

    def csv(self, write: Texts) -> bytes:  # noqa: ARG002
        """Write a line an ID."""
        return _lines(self.ids)


@dataclass(frozen=True, slots=True)
class Numbers:
    """float32[n], in order."""

    described: ClassVar = Described(
        "Numbers, in order.", {"type": "array", "items": {"type": "number"}}, [0.1, 0.2], "0.1\n0.2\n"
    )

    values: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.values)

    def json(self) -> bytes:
        """Write an array of numbers."""
        return orjson.dumps(self.values, option=_NUMPY)

    def csv(self, write: Texts) -> bytes:
        """Write a line a number."""
        return "".join([f"{text}\n" for text in write(self.values)]).encode()


@dataclass(frozen=True, slots=True)
class Number:
    """One number."""

    described: ClassVar = Described("A bare number.", {"type": "number"}, 0.14, "0.14\n")

    value: np.float32

    def __len__(self) -> int:
        return 1

    def json(self) -> bytes:
        """Write the number alone."""
        return orjson.dumps(self.value, option=_NUMPY)

    def csv(self, write: Texts) -> bytes:
        """Write a line with the number."""
        return f"{write(np.array([self.value]))[0]}\n".encode()


@dataclass(frozen=True, slots=True)
class StreamedNames:
    """IDs in blocks, each of them written at once."""

    described: ClassVar = Names.described

    blocks: AsyncIterator[Sequence[str]]

    async def json_pieces(self) -> AsyncGenerator[bytes]:
        """Write an array of IDs."""
        before = b"["
        async for block in self.blocks:
            if block:
                yield before + orjson.dumps(block)[1:-1]
                before = b","
        yield b"[]" if before == b"[" else b"]"

    async def csv_pieces(self, write: Texts) -> AsyncGenerator[bytes]:  # noqa: ARG002
        """Write a line an ID."""
        async for block in self.blocks:
            yield _lines(block)


@dataclass(frozen=True, slots=True)
class NoContent:
    """Done, with nothing to say but these headers."""

    headers: Mapping[str, str]
