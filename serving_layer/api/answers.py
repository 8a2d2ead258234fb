"""What handlers answer, in JSON and in CSV."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from serving_layer.api.rendering import NUMPY, Described, Texts, lines, pairs_csv, pairs_json, shortest

__all__ = [
    "Counted",
    "Names",
    "NoContent",
    "Number",
    "Numbers",
    "Scored",
    "StreamedNames",
]

_ID: Final = {"type": "string", "minLength": 1}


def _rows(key: str, kind: str, value: float, about: str) -> Described:
    row = {
        "type": "object",
        "required": ["id", key],
        "properties": {"id": _ID, key: {"type": kind}},
        "additionalProperties": False,
    }
    return Described(about, {"type": "array", "items": row}, [{"id": "I7", key: value}], f"I7,{value}\n")


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
        return pairs_json(self.names, "value", self.values)

    def csv(self, write: Texts) -> bytes:
        """Write lines ``id,value``."""
        return pairs_csv(self.names, self.values, write)


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
        return pairs_json(self.names, "count", self.counts)

    def csv(self, write: Texts) -> bytes:
        """Write lines ``id,count``."""
        return pairs_csv(self.names, self.counts, shortest if self.counts.dtype.kind == "i" else write)


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
        return lines(self.ids)


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
        return orjson.dumps(self.values, option=NUMPY)

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
        return orjson.dumps(self.value, option=NUMPY)

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
            yield lines(block)


@dataclass(frozen=True, slots=True)
class NoContent:
    """Done, with nothing to say but these headers."""

    headers: Mapping[str, str]
