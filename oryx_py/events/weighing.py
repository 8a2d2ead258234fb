"""What one interaction adds to its pair: its strength, by its kind, as old as it is.

With t the interaction's time and the generation's ``as_of``:

    strength · weight · 2^(−max(0, as_of − t) / half-life)

What is newer than ``as_of`` weighs 1, until the next generation has another. An interaction that is older than the
maximum age, or that comes to less than the threshold, is as if it had never come. All this is said of each by itself,
so that folding goes on from any generation's state; and who is ignored once is ignored ever after, as time goes on.
Deletes and forgets do not age.

The power is made of sums, products and one shift alone. So Python's floats and NumPy's arrays, which have exponential
functions of their own that differ in the last bits from machine to machine, come to the same.
"""

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from oryx_py.events.fold import FoldSettings, KindSettings

__all__ = ["time_of", "times_of", "weigh", "weigh_columns"]

_Floats = TypeVar("_Floats", float, NDArray[np.float64])

_LN2 = 0.6931471805599453


def _taylor(terms: int) -> list[float]:
    """The coefficients of 2^f = e^(f ln 2)."""
    coefficients = [1.0]
    for n in range(1, terms):
        coefficients.append(coefficients[-1] * _LN2 / n)
    return coefficients


# For |f| ≤ ½ the first term left out, (ln 2 / 2)^15 / 15!, is 10^-19: far below a float's precision.
_COEFFICIENTS = _taylor(15)

# 2^-1100 is 0 in float64.
_GONE = 1100.0


def time_of(timestamp_ms: int | None, kafka_ms: int) -> int:
    """Return an interaction's time: the client's, unless it lies beyond the record's own; -1 where there is neither.

    Args:
        timestamp_ms: the client's, None where it gave none.
        kafka_ms: the record's, -1 where it has none.
    """
    if timestamp_ms is None:
        return kafka_ms
    return timestamp_ms if kafka_ms < 0 else min(timestamp_ms, kafka_ms)


def times_of(timestamps_ms: NDArray[np.int64], kafka_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the times of many, int64[n], as `time_of` has them; -1 in ``timestamps_ms`` for none."""
    given = np.where(timestamps_ms < 0, kafka_ms, timestamps_ms)
    return np.where(kafka_ms < 0, given, np.minimum(given, kafka_ms))


def weigh(strength: float, kind: str | None, time_ms: int, settings: FoldSettings, as_of_ms: int) -> float | None:
    """Return what an interaction adds to its pair, None where it is to be ignored.

    Args:
        strength: as the client gave it.
        kind: as the client named it, None for none; one that the settings do not have is as none.
        time_ms: by `time_of`; without a time it is as new as ``as_of_ms``.
        settings: the generation's.
        as_of_ms: the generation's.
    """
    if settings.is_plain:
        return strength
    age_ms = max(0, as_of_ms - time_ms) if time_ms >= 0 else 0
    if settings.max_age_s and age_ms > settings.max_age_s * 1000:
        return None
    counts = settings.kinds.get(kind) if kind is not None else None
    weight, half_life_s = (counts.weight, counts.half_life_s) if counts else (1.0, settings.half_life_s)
    weighed = strength * weight
    if half_life_s:
        weighed *= _halved(age_ms / (half_life_s * 1000))
    return None if abs(weighed) < settings.zero_threshold else weighed


def weigh_columns(
    strengths: NDArray[np.float64],
    kinds: NDArray[np.integer],
    times_ms: NDArray[np.int64],
    settings: FoldSettings,
    as_of_ms: int,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Weigh many interactions, with the bits that `weigh` gives one by one.

    Args:
        strengths: float64[n], NaN for deletes and forgets, which stay as they are.
        kinds: int[n], the position of each kind in ``settings.kinds``; -1 for none, or another.
        times_ms: int64[n], by `times_of`.
        settings: the generation's.
        as_of_ms: the generation's.

    Returns:
        float64[n] weighed, and bool[n]: which are not to be ignored.
    """
    ages_ms = np.where(times_ms < 0, 0, np.maximum(as_of_ms - times_ms, 0))
    # The last one is where -1 points to.
    table = [*settings.kinds.values(), KindSettings(half_life_s=settings.half_life_s)]
    weighed = strengths * np.array([kind.weight for kind in table])[kinds]
    half_lives_ms = np.array([kind.half_life_s for kind in table])[kinds] * 1000
    decays = half_lives_ms > 0
    if decays.any():
        weighed[decays] *= _halved_columns(ages_ms[decays] / half_lives_ms[decays])
    counts = ~(np.abs(weighed) < settings.zero_threshold)  # a NaN is below nothing
    if settings.max_age_s:
        counts &= (ages_ms <= settings.max_age_s * 1000) | np.isnan(strengths)
    return weighed, counts


def _halved(times: float) -> float:
    """2^-times, for 0 or more."""
    times = min(times, _GONE)
    whole = math.floor(times + 0.5)
    return math.ldexp(_power(whole - times), -whole)


def _halved_columns(times: NDArray[np.float64]) -> NDArray[np.float64]:
    times = np.minimum(times, _GONE)
    whole = np.floor(times + 0.5)
    return np.ldexp(_power(whole - times), -whole.astype(np.int32))


def _power(fraction: _Floats) -> _Floats:
    """2^fraction, for one from -½ to ½, by Horner's scheme."""
    total = fraction * 0.0
    for coefficient in reversed(_COEFFICIENTS):
        total = total * fraction + coefficient
    return total
