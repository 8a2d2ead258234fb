"""What a layer's ``/metrics`` say. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

__all__ = ["Buckets", "Scrape"]

_INFINITE: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Buckets:
    """A histogram: by upper bound, ascending, how many observations are not above it; the last bound is infinite."""

    counts: Mapping[float, float]

    @property
    def total(self) -> float:
        """All observations."""
        return self.counts.get(_INFINITE, 0.0)

    def since(self, before: "Buckets") -> "Buckets":
        """Return what was observed after ``before``; all of it, where the counting began anew meanwhile."""
        if before.total > self.total:
            return self
        return Buckets({bound: count - before.counts.get(bound, 0.0) for bound, count in self.counts.items()})

    def quantile(self, q: float) -> float | None:
        """Return the value below which a share ``q`` lies, None where nothing was observed.

        As Prometheus' ``histogram_quantile`` reckons: evenly within a bucket, the first one from 0; the last finite
        bound for what lies above all.
        """
        rank = q * self.total
        if not self.total:
            return None
        edges = [(0.0, 0.0), *self.counts.items()]
        for (lower, below), (upper, count) in pairwise(edges):
            if count >= rank and count > below:
                return lower if upper == _INFINITE else lower + (upper - lower) * (rank - below) / (count - below)
        return edges[-2][0]


class Scrape:
    """The samples of one answer.

    Args:
        text: in Prometheus' format.

    Raises:
        ValueError: it is none.
    """

    def __init__(self, text: str) -> None:
        self._samples: dict[str, list[tuple[dict[str, str], float]]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                self._samples.setdefault(sample.name, []).append((sample.labels, sample.value))

    def value(self, name: str) -> float | None:
        """Return the sum of a name's samples, None where there are none."""
        found = self._samples.get(name)
        return sum(value for _, value in found) if found else None

    def by(self, name: str, label: str) -> dict[str, float]:
        """Return the samples of a name by the value of a label, those of other labels added up."""
        summed: dict[str, float] = {}
        for labels, value in self._samples.get(name, ()):
            if label in labels:
                summed[labels[label]] = summed.get(labels[label], 0.0) + value
        return summed

    def buckets(self, name: str, *, without: Mapping[str, frozenset[str]] = {}) -> Buckets:
        """Return a histogram, all label sets added up but those that have a label among the values ``without``."""
        summed: dict[float, float] = {}
        for labels, value in self._samples.get(f"{name}_bucket", ()):
            if any(labels.get(label) in values for label, values in without.items()):
                continue
            bound = float(labels["le"])
            summed[bound] = summed.get(bound, 0.0) + value
        return Buckets(dict(sorted(summed.items())))
