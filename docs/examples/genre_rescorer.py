"""Rescorers for a catalogue with genres: an example to begin with, which the tests serve.

``serving.api.rescorer = "genre_rescorer:GenreProvider"`` with this file's folder in ``PYTHONPATH``, then::

    GET /recommend/ann?rescorerParams=genre=jazz              only jazz
    GET /recommend/ann?rescorerParams=boost=jazz:1.5          jazz counts one and a half times
    GET /mostPopularItems?rescorerParams=genre=jazz           the most popular jazz
"""

import csv
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serving_layer.rescoring import Aligned, Candidates, Rescorer, RescorerProvider, VectorRescorer

NO_GENRE = ""


class GenreProvider(RescorerProvider):
    """Filters and boosts by genre, and never shows what is withdrawn.

    Genres are read once, from the file that ``GENRES`` names: lines ``item,genre``.
    """

    def __init__(self) -> None:
        with Path(os.environ["GENRES"]).open(newline="", encoding="utf-8") as lines:
            self._genre_of = dict(csv.reader(lines))
        self._codes = {genre: code for code, genre in enumerate(sorted({NO_GENRE, *self._genre_of.values()}))}
        # One number an item, made once a generation: comparing a million of them takes a millisecond.
        self._code_of_each = Aligned(self._codes_of)

    def recommend(self, users: Sequence[str], params: Sequence[str]) -> VectorRescorer | None:
        """Filter and boost as the request says."""
        return self._by_genre(params)

    def recommend_to_anonymous(self, items: Sequence[str], params: Sequence[str]) -> VectorRescorer | None:
        """Filter and boost as the request says."""
        return self._by_genre(params)

    def similarity(self, items: Sequence[str], params: Sequence[str]) -> Rescorer:
        """Leave out what is withdrawn; one by one, which is enough for a small catalogue."""
        return NotWithdrawn()

    def popular_items(self, params: Sequence[str]) -> VectorRescorer | None:
        """Filter as the request says."""
        return self._by_genre(params)

    def _by_genre(self, params: Sequence[str]) -> VectorRescorer | None:
        asked = dict(param.split("=", 1) for param in params if "=" in param)
        if "genre" in asked:
            return OnlyGenre(self._code_of_each, self._codes.get(asked["genre"], -1))
        if "boost" in asked:
            genre, _, factor = asked["boost"].partition(":")
            return BoostGenre(self._code_of_each, self._codes.get(genre, -1), float(factor))
        return None

    def _codes_of(self, ids: Sequence[str]) -> NDArray[np.int32]:
        return np.array([self._codes[self._genre_of.get(name, NO_GENRE)] for name in ids], np.int32)


class OnlyGenre(VectorRescorer):
    """Leaves out all other genres, before anything is scored."""

    def __init__(self, code_of_each: Aligned, code: int) -> None:
        self._code_of_each, self._code = code_of_each, code

    def filtered(self, candidates: Candidates) -> NDArray[np.bool_]:
        """Say which are of another genre."""
        return self._code_of_each(candidates) != self._code


class BoostGenre(VectorRescorer):
    """Multiplies the scores of a genre."""

    def __init__(self, code_of_each: Aligned, code: int, factor: float) -> None:
        self._code_of_each, self._code, self._factor = code_of_each, code, factor

    def rescore_many(self, candidates: Candidates, values: NDArray[np.float32]) -> NDArray[np.floating]:
        """Return the scores, those of the genre multiplied."""
        return np.where(self._code_of_each(candidates) == self._code, values * self._factor, values)


class NotWithdrawn(Rescorer):
    """Leaves out items whose ID says that they are withdrawn."""

    def is_filtered(self, id: str) -> bool:
        """Say whether it is."""
        return id.startswith("withdrawn-")
