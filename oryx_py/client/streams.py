"""Answers that come in parts."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Generic, Protocol, Self, TypeVar

from oryx_py.client.refusals import NoAnswer, Unreadable

__all__ = ["Reader", "Stream", "pages"]

T = TypeVar("T")


class Reader(Protocol[T]):
    """Makes values of bytes as they come; ValueError for what is none."""

    def feed(self, part: bytes) -> list[T]:
        """Return the values that are complete with this part."""
        ...

    def end(self) -> None:
        """Check that nothing is missing."""
        ...


class Stream(AsyncIterator[T], Generic[T]):
    """Values as they come; nothing is asked for before the first one is.

    ``async for`` reads all. Whoever stops before the end calls `aclose`, which gives the connection back.
    """

    def __init__(self, pages: AsyncGenerator[list[T]]) -> None:
        self._pages = pages
        self._page: list[T] = []
        self._at = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if self._at == len(self._page):
            self._page, self._at = await self.page(), 0
            if not self._page:
                raise StopAsyncIteration
        self._at += 1
        return self._page[self._at - 1]

    async def page(self) -> list[T]:
        """Return the values that are there next, as many as came together; none at the end."""
        return await anext(self._pages, [])

    async def aclose(self) -> None:
        """Read no more."""
        await self._pages.aclose()


async def pages(parts: AsyncGenerator[bytes], reader: Reader[T]) -> AsyncGenerator[list[T]]:
    """Yield what each part completes, where it completes anything.

    Raises:
        NoAnswer: the answer broke off.
        Unreadable: it is not what the reader reads.
    """
    try:
        async for part in parts:
            if values := reader.feed(part):
                yield values
    except (ValueError, RecursionError) as error:
        raise Unreadable(200, str(error)) from None
    finally:
        await parts.aclose()
    try:
        reader.end()
    except ValueError as error:
        raise NoAnswer(f"the answer broke off: {error}") from None
