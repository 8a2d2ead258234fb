"""Somebody new says three times what they like, and sees their list change."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from oryx_py.cli.demo.story import Story
from oryx_py.client import After, Client, NotFound
from oryx_py.events import Interaction

__all__ = ["NEWCOMER", "Step", "liked_things", "likes", "strong"]

NEWCOMER = "demo/newcomer"
"""With a slash, since IDs may have one."""

_FAVOURITE_GENRES = ("Animation", "Sci-Fi", "Science Fiction", "Horror", "Western")
_LIKES = 3
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Step:
    """What the newcomer sees: before (``liked`` None) and after each like.

    ``stored_ms`` from the request to the acknowledgement by Kafka, ``seen_ms`` from the same moment to the new list.
    """

    liked: str | None
    best: Sequence[str]
    stored_ms: float = 0.0
    seen_ms: float = 0.0


def liked_things(story: Story, trained: Sequence[Interaction], service: Client) -> list[str]:
    """Return three items that one person may like: the best known of a genre, or one and its likes in the model."""
    popular = [item for item, _ in Counter(interaction.item for interaction in trained).most_common()]
    for genre in _FAVOURITE_GENRES:
        found = [item for item in popular if genre in story.genres.get(item, ())][:_LIKES]
        if len(found) == _LIKES:
            return found
    first = popular[len(popular) // 20]
    return [first, *(item.id for item in service.similarity(first, _LIKES - 1))]


def likes(
    items: Sequence[str],
    strength: float,
    service: Client,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Step]:
    """Yield what a new user sees before and after each like.

    Raises:
        OryxError: the service does not answer as it should.
    """
    yield Step(None, _best(service, None))
    for item in items:
        started = clock()
        written = service.pref(NEWCOMER, item, strength)
        stored = clock()
        best = _best(service, written)
        yield Step(item, best, (stored - started) * 1000, (clock() - started) * 1000)


def strong(trained: Sequence[Interaction]) -> float:
    """Return the strength of a clear like in these data: what one in ten reaches."""
    return float(np.quantile([interaction.strength or 0.0 for interaction in trained], 0.9))


def _best(service: Client, after: After) -> list[str]:
    """The newcomer's list; what is popular for a stranger."""
    try:
        return [item.id for item in service.recommend(NEWCOMER, _SHOWN, after=after)]
    except NotFound:
        return [item.id for item in service.most_popular_items(_SHOWN)]
