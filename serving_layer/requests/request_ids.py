"""The ID of a request: the client's own, or one that no other request has."""

import re
from itertools import count
from typing import Final, Protocol
from uuid import uuid4

__all__ = ["NewId", "new_ids", "sent_id"]

_UNFIT: Final = re.compile(r"[^!-~]")
_ID_CHARACTERS: Final = 128


class NewId(Protocol):
    """Makes up the ID of a request that came without."""

    def __call__(self) -> str:
        """Return an ID that no other request has."""
        ...


def new_ids() -> NewId:
    """Return a maker of IDs that no other process makes: random is what one process has in common."""
    numbers, process = count(), uuid4().hex[:20]
    return lambda: f"{process}{next(numbers):012x}"


def sent_id(header: str | None) -> str:
    """Return the caller's ID as far as it may stand in a header and a log line; empty where nothing is left."""
    return _UNFIT.sub("", header[:_ID_CHARACTERS]) if header else ""
