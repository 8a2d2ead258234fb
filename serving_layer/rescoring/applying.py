"""Asking plug-ins: several as one, and what they return checked."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from serving_layer.rescoring.candidates import Candidates
from serving_layer.rescoring.plugin_interface import AnyRescorer, Rescorer, VectorRescorer

__all__ = ["RescorerFailed", "Rescoring", "Values", "rescoring_of"]

P = ParamSpec("P")
T = TypeVar("T")


class RescorerFailed(Exception):
    """A plug-in raised something, or returned what is no answer; the cause has its traceback."""


class Rescoring:
    """The rescorers of one query, in their order; runs plug-ins, so never on the loop.

    As in Oryx: a candidate that any of them filters is left out, and each gets the values of the one before.
    """

    def __init__(self, rescorers: Sequence[AnyRescorer]) -> None:
        self._rescorers = rescorers

    @property
    def filters_only(self) -> bool:
        """Whether no value will change."""
        return not any(map(_changes_values, self._rescorers))

    def kept(self, candidates: Candidates) -> NDArray[np.int64]:
        """Return the positions that nobody filters, ascending.

        Raises:
            RescorerFailed: a plug-in did.
        """
        positions = np.arange(len(candidates))
        for rescorer in self._rescorers:
            left_out = _asked(rescorer, _filtered, rescorer, candidates)
            if left_out is not None:
                kept = ~left_out
                positions, candidates = positions[kept], candidates.take(kept)
        return positions

    def rescored(self, candidates: Candidates, values: NDArray[np.floating]) -> "Values":
        """Return the new values of what is not left out; values float[n] of candidates that are not filtered.

        Raises:
            RescorerFailed: a plug-in did.
        """
        positions = np.arange(len(candidates))
        for rescorer in self._rescorers:
            values = _asked(rescorer, _rescored, rescorer, candidates, values)
            kept = ~np.isnan(values)
            if not kept.all():
                positions, values, candidates = positions[kept], values[kept], candidates.take(kept)
        return Values(positions, values.astype(np.float64))


class Values(NamedTuple):
    """Positions of candidates, int64[m], ascending, and their new values, float64[m], finite."""

    positions: NDArray[np.int64]
    values: NDArray[np.float64]


def rescoring_of(methods: Sequence[Callable[..., AnyRescorer | None]], *query: Sequence[str]) -> Rescoring | None:
    """Ask the providers, by their methods for this kind, for a query's rescorers; None where there is none.

    Raises:
        RescorerFailed: one of them raised something, or returned something else.
    """
    found = [_asked(method, method, *query) for method in methods]
    rescorers = [rescorer for rescorer in found if rescorer is not None]
    for rescorer in rescorers:
        if not isinstance(rescorer, Rescorer | VectorRescorer):
            raise RescorerFailed(f"a provider returned {type(rescorer).__qualname__}, which is no rescorer")
    return Rescoring(rescorers) if rescorers else None


def _asked(plugin: Any, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return function(*args, **kwargs)
    except BaseException as error:
        # Whatever it is: an exit, or an error of the kind that clients are told of, is neither in a plug-in.
        named = plugin if hasattr(plugin, "__qualname__") else type(plugin)
        raise RescorerFailed(f"{named.__module__}.{named.__qualname__} failed: {error!r}") from error


def _changes_values(rescorer: AnyRescorer) -> bool:
    if isinstance(rescorer, Rescorer):
        return type(rescorer).rescore is not Rescorer.rescore
    return type(rescorer).rescore_many is not VectorRescorer.rescore_many


def _filtered(rescorer: AnyRescorer, candidates: Candidates) -> NDArray[np.bool_] | None:
    if isinstance(rescorer, Rescorer):
        if type(rescorer).is_filtered is Rescorer.is_filtered:
            return None
        return np.fromiter((bool(rescorer.is_filtered(name)) for name in candidates), np.bool_, len(candidates))
    left_out = rescorer.filtered(candidates)
    if left_out is None:
        return None
    left_out = np.asarray(left_out)
    if left_out.dtype != np.bool_ or left_out.shape != (len(candidates),):
        raise ValueError(f"filtered returned {left_out.dtype}{list(left_out.shape)}, not bool[{len(candidates)}]")
    return left_out


def _rescored(rescorer: AnyRescorer, candidates: Candidates, values: NDArray[np.floating]) -> NDArray[np.floating]:
    count = len(candidates)
    if isinstance(rescorer, Rescorer):
        pairs = zip(candidates, values.tolist(), strict=True)
        results = (rescorer.rescore(name, value) for name, value in pairs)
        found = np.fromiter((np.nan if value is None else value for value in results), np.float64, count)
    else:
        # A copy: what a plug-in writes into it is its own.
        found = np.asarray(rescorer.rescore_many(candidates, values.copy()))
    if found.dtype.kind != "f" or found.shape != (count,):
        raise ValueError(f"rescore_many returned {found.dtype}{list(found.shape)}, not float[{count}]")
    if np.isinf(found).any():
        raise ValueError(f"{np.count_nonzero(np.isinf(found))} of {count} new values are infinite")
    return found
