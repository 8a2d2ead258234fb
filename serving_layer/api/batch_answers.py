"""The answer of a batch read: for each user a list, or why there is none; written block by block."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeAlias

import orjson

from oryx_py.events.csv_line import join_fields
from serving_layer.api.answers import Scored
from serving_layer.api.rendering import Described, Texts
from serving_layer.http_semantics.problems import Problem

__all__ = ["Block", "EachScored"]

Block: TypeAlias = Sequence[tuple[str, Scored | Problem]]
"""Users, in order, each with what there is for them."""

_ID: Final = {"type": "string", "minLength": 1}
_FOUND: Final = {
    "type": "object",
    "required": ["user", "items"],
    "properties": {"user": _ID, "items": Scored.described.schema},
    "additionalProperties": False,
}
_REFUSED: Final = {
    "type": "object",
    "required": ["user", "status", "detail"],
    "properties": {"user": _ID, "status": {"type": "integer"}, "detail": {"type": "string"}},
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class EachScored:
    """Lists by user, in blocks, each of them written at once."""

    described: ClassVar = Described(
        "For each user, in order, a list, or why there is none: 404 who is unknown, 500 for whom a rescorer failed, "
        "503 for whom it took too long. In CSV a row an item, `user,id,value`; users without a list have none.",
        {"type": "array", "items": {"oneOf": [_FOUND, _REFUSED]}},
        [
            {"user": "ann", "items": [{"id": "I7", "value": 0.14}]},
            {"user": "nobody", "status": 404, "detail": "user 'nobody' is unknown"},
        ],
        "ann,I7,0.14\n",
    )

    blocks: AsyncIterator[Block]

    async def json_pieces(self) -> AsyncGenerator[bytes]:
        """Write an array of objects."""
        before = b"["
        async for block in self.blocks:
            if block:
                rows = [_object(user, found) for user, found in block]
                yield before + orjson.dumps(rows, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]
                before = b","
        yield b"[]" if before == b"[" else b"]"

    async def csv_pieces(self, write: Texts) -> AsyncGenerator[bytes]:
        """Write lines ``user,id,value``."""
        async for block in self.blocks:
            yield "".join(_lines(user, found, write) for user, found in block if isinstance(found, Scored)).encode()


def _object(user: str, found: Scored | Problem) -> dict[str, Any]:
    if isinstance(found, Problem):
        return {"user": user, "status": found.status, "detail": found.detail}
    items = [{"id": name, "value": value} for name, value in zip(found.names, found.values, strict=True)]
    return {"user": user, "items": items}


def _lines(user: str, found: Scored, write: Texts) -> str:
    field = join_fields([user])
    rows = zip(found.names, write(found.values), strict=True)
    return "".join([f"{field},{join_fields([name])},{text}\n" for name, text in rows])
