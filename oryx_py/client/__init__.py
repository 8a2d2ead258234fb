"""The client of the REST interface: `AsyncClient` for asyncio, `Client` for code that waits."""

from oryx_py.client.asynchronous import AsyncClient
from oryx_py.client.refusals import (
    Busy,
    Failed,
    NoAnswer,
    NotFound,
    NotVisibleYet,
    Refusal,
    Rejected,
    TooLarge,
    Unavailable,
    Unreachable,
    Unreadable,
)
from oryx_py.client.retries import Retries
from oryx_py.client.streams import Stream
from oryx_py.client.synchronous import Client
from oryx_py.client.values import After, Answered, Counted, Items, Ready, Scored, Written

__all__ = [
    "After",
    "Answered",
    "AsyncClient",
    "Busy",
    "Client",
    "Counted",
    "Failed",
    "Items",
    "NoAnswer",
    "NotFound",
    "NotVisibleYet",
    "Ready",
    "Refusal",
    "Rejected",
    "Retries",
    "Scored",
    "Stream",
    "TooLarge",
    "Unavailable",
    "Unreachable",
    "Unreadable",
    "Written",
]
