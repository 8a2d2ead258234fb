"""The client for code that waits: the asynchronous one, in a thread."""

from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from functools import update_wrapper
from itertools import islice
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from oryx_py.client.asynchronous import AsyncClient
from oryx_py.client.background import Background
from oryx_py.client.encoding import Line, bulk_of
from oryx_py.client.rankings import users_a_request
from oryx_py.client.retries import Retries
from oryx_py.client.streams import Stream
from oryx_py.client.values import After, Answered, Written
from oryx_py.errors import UserError

__all__ = ["Client"]

P = ParamSpec("P")
T = TypeVar("T")


def _waits(
    method: Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate["Client", P], T]:
    """Make a method that waits of one that is awaited."""

    def waiting(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._background.run(lambda client: method(client, *args, **kwargs))

    update_wrapper(waiting, method)
    return waiting


def _iterates(
    method: Callable[Concatenate[AsyncClient, P], Stream[T]],
) -> Callable[Concatenate["Client", P], Iterator[T]]:
    """Make an iterator of an asynchronous one; it may be left before its end."""

    def iterating(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        async def begin(client: AsyncClient) -> Stream[T]:
            return method(client, *args, **kwargs)

        # Left before its end, it is closed by its loop: as any asynchronous generator that nobody holds any more.
        stream = self._background.run(begin)
        while page := self._background.run(lambda _: stream.page()):
            yield from page

    update_wrapper(iterating, method)
    return iterating


class Client:
    """A client of the REST interface that waits for each answer; for any number of threads.

    The same methods as `AsyncClient` with the same arguments, which it calls in a thread of its own. It may be used
    where an event loop runs (which then waits, too), and after a fork. Left open, it is closed with the program::

        with Client("http://127.0.0.1:8080", read_your_writes=True) as oryx:
            oryx.pref("ann", "solaris")
            for item in oryx.recommend("ann", 3):
                print(item.id, item.value)

    Args and Raises: see `AsyncClient`.
    """

    def __init__(
        self,
        url: str,
        *,
        retries: Retries = Retries(),  # noqa: B008 - it is frozen
        timeout_s: float = 15.0,
        connections: int = 16,
        read_your_writes: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        def make() -> AsyncClient:
            return AsyncClient(
                url,
                retries=retries,
                timeout_s=timeout_s,
                connections=connections,
                read_your_writes=read_your_writes,
                headers=headers,
            )

        self.url = make().url  # a wrong one is an error here, not with the first call
        self._background = Background(make, name="oryx-client")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; calls of other threads that wait end with `UserError`."""
        self._background.close()

    recommend = _waits(AsyncClient.recommend)
    recommend_to_many = _waits(AsyncClient.recommend_to_many)
    recommend_to_anonymous = _waits(AsyncClient.recommend_to_anonymous)
    recommend_with_context = _waits(AsyncClient.recommend_with_context)
    similarity = _waits(AsyncClient.similarity)
    because = _waits(AsyncClient.because)
    most_surprising = _waits(AsyncClient.most_surprising)
    most_popular_items = _waits(AsyncClient.most_popular_items)
    most_active_users = _waits(AsyncClient.most_active_users)
    estimate = _waits(AsyncClient.estimate)
    estimate_for_anonymous = _waits(AsyncClient.estimate_for_anonymous)
    similarity_to_item = _waits(AsyncClient.similarity_to_item)
    known_items = _waits(AsyncClient.known_items)
    popular_representative_items = _waits(AsyncClient.popular_representative_items)
    item_ids = _iterates(AsyncClient.item_ids)
    user_ids = _iterates(AsyncClient.user_ids)
    ready = _waits(AsyncClient.ready)
    pref = _waits(AsyncClient.pref)
    delete_pref = _waits(AsyncClient.delete_pref)
    forget_user = _waits(AsyncClient.forget_user)
    forget_item = _waits(AsyncClient.forget_item)

    # What these two are given may belong to the thread that calls: it is read there.

    def recommend_batch(
        self,
        users: Iterable[str],
        how_many: int = 10,
        *,
        offset: int = 0,
        consider_known_items: bool = False,
        rescorer_params: Sequence[str] = (),
        after: After = None,
    ) -> Iterator[Answered]:
        """See `AsyncClient.recommend_batch`."""
        if isinstance(users, str):
            raise UserError("users are several: give a list")
        users, count = iter(users), users_a_request(how_many, offset)
        while some := list(islice(users, count)):
            yield from self._batch(
                some,
                how_many,
                offset=offset,
                consider_known_items=consider_known_items,
                rescorer_params=rescorer_params,
                after=after,
            )

    def ingest(
        self, interactions: Line | Iterable[Line], *, idempotency_key: str | None = None, compressed: bool = False
    ) -> Written:
        """See `AsyncClient.ingest`."""
        lines = bulk_of(interactions)  # in the caller's thread, whose iterator it is
        return self._ingest(lines, idempotency_key=idempotency_key, compressed=compressed)

    _batch = _iterates(AsyncClient.recommend_batch)
    _ingest = _waits(AsyncClient.ingest)
