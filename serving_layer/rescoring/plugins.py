"""The plug-ins of a service, as handlers ask them."""

from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeAlias, TypeVar

from serving_layer.rescoring.applying import Rescoring, rescoring_of
from serving_layer.rescoring.plugin_interface import RescorerProvider
from serving_layer.rescoring.plugin_threads import PluginThreads

__all__ = ["Kind", "Plugins"]

T = TypeVar("T")
Kind: TypeAlias = Literal["recommend", "recommend_to_anonymous", "similarity", "popular_items", "active_users"]
_KINDS: Final[tuple[Kind, ...]] = (
    "recommend",
    "recommend_to_anonymous",
    "similarity",
    "popular_items",
    "active_users",
)


class Plugins:
    """Asks the providers in threads of their own kind; a kind of query that none of them overrides costs nothing."""

    def __init__(self, providers: Sequence[RescorerProvider], threads: PluginThreads) -> None:
        self._threads = threads
        self._by_kind = {
            kind: [found for found in providers if getattr(type(found), kind) is not getattr(RescorerProvider, kind)]
            for kind in _KINDS
        }

    def concern(self, kind: Kind) -> bool:
        """Say whether any may change the answers to such queries."""
        return bool(self._by_kind[kind])

    async def rescoring(self, kind: Kind, *query: Sequence[str]) -> Rescoring | None:
        """Return what rescores a query; None where nothing does. ``query`` is what the provider's method takes.

        Raises:
            RescorerFailed: a provider did.
        """
        providers = self._by_kind[kind]
        if not providers:
            return None
        return await self._threads.run(lambda: rescoring_of([getattr(found, kind) for found in providers], *query))

    async def run(self, function: Callable[[], T]) -> T:
        """Run what uses a `Rescoring`."""
        return await self._threads.run(function)
