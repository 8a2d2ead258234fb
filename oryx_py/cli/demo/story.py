"""What the demo plays: interactions in the order of time, and the names of things."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from oryx_py.cli.files import open_interactions
from oryx_py.cli.visible import visible
from oryx_py.errors import UserError
from oryx_py.events import Action, Interaction
from oryx_py.testing.worlds import make_world

__all__ = ["Story", "invented", "read"]

_TRAINED_SHARE = 0.8
_LEAST = 100

_USERS, _ITEMS, _INTERACTIONS = 1_200, 1_500, 60_000
_MODEL = {"features": 16, "lambda": 0.5}
"""A world of eight tastes needs no more, and its noise wants smoothing."""
_NEWCOMERS = 4
"""Every so many-th person of the invented world joins late, at some time of its last third,"""
_HASTE = 50
"""and then does in this part of the time what the others take all of it for."""


@dataclass(frozen=True, slots=True)
class Story:
    """Interactions, ascending in time, each with a strength.

    ``titles`` and ``genres`` by item, as far as known. ``model`` has the settings of that group that suit these data;
    none: the defaults do.
    """

    name: str
    interactions: Sequence[Interaction]
    titles: Mapping[str, str] = field(default_factory=dict)
    genres: Mapping[str, Sequence[str]] = field(default_factory=dict)
    model: Mapping[str, float] = field(default_factory=dict)

    def title(self, item: str) -> str:
        """Return the item's title, its ID where none is known; fit for a terminal."""
        return visible(self.titles.get(item, item), 60)

    def split(self) -> tuple[Sequence[Interaction], Sequence[Interaction]]:
        """Return what is trained on, the first 80 % in time, and the rest."""
        cut = int(len(self.interactions) * _TRAINED_SHARE)
        return self.interactions[:cut], self.interactions[cut:]


def invented(seed: int) -> Story:
    """Draw a world from a seed, in which a part of the people joins late and then has much to say."""
    world = make_world(seed, _USERS, _ITEMS, _INTERACTIONS)
    rng = np.random.default_rng(seed)
    first, last = int(world.timestamps_ms[0]), int(world.timestamps_ms[-1])
    joined = {
        user: last - int((last - first) * rng.random() / 3) for user in sorted(set(world.users.tolist()))[::_NEWCOMERS]
    }
    columns = (world.users, world.items, world.strengths, world.timestamps_ms)
    interactions = [
        Interaction(user, item, strength, joined[user] + (when - first) // _HASTE if user in joined else when)
        for user, item, strength, when in zip(*(column.tolist() for column in columns), strict=True)
    ]
    interactions.sort(key=lambda interaction: interaction.timestamp_ms or 0)
    genres = {item: (genre,) for item, genre in world.genres.items()}
    return Story(f"an invented world (seed {seed})", interactions, world.titles, genres, _MODEL)


def read(path: Path) -> Story:
    """Read a file of interactions, and of MovieLens 100K also ``u.item`` and ``u.genre`` beside it.

    Without timestamps the order is the file's. What deletes is left out.

    Raises:
        UserError: it cannot be read, or has too few interactions.
    """
    with open_interactions(path) as source:
        found = [row for _, row in source.rows() if isinstance(row, Interaction) and row.action is Action.ADD]
    if len(found) < _LEAST:
        raise UserError(f"{path} has {len(found)} interactions that can be read: the demo needs {_LEAST} at least")
    if all(interaction.timestamp_ms is not None for interaction in found):
        found.sort(key=lambda interaction: interaction.timestamp_ms or 0)
    titles, genres = _movielens(path.parent)
    return Story(path.name, found, titles, genres)


def _movielens(folder: Path) -> tuple[dict[str, str], dict[str, Sequence[str]]]:
    """Read ``u.item``: ID, title, dates, address, and a flag for each genre of ``u.genre``; empty where not there."""
    names = [line.split("|")[0] for line in _lines(folder / "u.genre")]
    titles: dict[str, str] = {}
    genres: dict[str, Sequence[str]] = {}
    for line in _lines(folder / "u.item"):
        (
            item,
            title,
            *_,
        ) = fields = line.split("|")
        titles[item] = title
        genres[item] = [name for name, flag in zip(names, fields[5:], strict=False) if flag == "1"]
    return titles, genres


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="latin-1")
    except OSError:
        return []
    return [line for line in text.splitlines() if "|" in line]
