"""Small generations in memory, and the slow, obvious answer to what a log of interactions makes of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from oryx_py.events import FoldSettings, Interaction, time_of, weigh
from oryx_py.messages import partition_of
from oryx_py.model.generations.csr import Csr
from oryx_py.model.generations.generation import Generation
from oryx_py.model.generations.manifest import Counts, Manifest
from oryx_py.model.ids.id_table import IdTable
from oryx_py.numerics.biases import Side
from oryx_py.numerics.objective import Objective
from tests.support.biases import biased_ridge
from tests.support.repeats import Sighting, repeated

Pairs = dict[str, dict[str, float]]
"""By user, by item: the folded strength."""


class ListIds:
    """IDs of a generation that was never written."""

    def __init__(self, ids: Sequence[str]) -> None:
        self._ids = list(ids)

    def __len__(self) -> int:
        return len(self._ids)

    def find(self, id: str) -> int:
        return self._ids.index(id) if id in self._ids else -1

    def find_many(self, ids: Sequence[str]) -> NDArray[np.int64]:
        return np.array([self.find(name) for name in ids], np.int64)

    def id(self, row: int) -> str:
        return self._ids[row]

    def ids(self, rows: NDArray[np.int64]) -> list[str]:
        return [self._ids[row] for row in rows.tolist()]


def generation_of(
    pairs: Pairs,
    item_factors: Mapping[str, NDArray[np.float32]],
    objective: Objective,
    covers: Mapping[int, tuple[int, int]],
    name: str = "20260101T000000000-00000000",
) -> Generation:
    """Make the generation that training to these item factors would make of these folded histories."""
    users, items = sorted(user for user in pairs if pairs[user]), sorted(item_factors)
    Y = np.array([item_factors[item] for item in items], np.float32)
    gram = Y.T.astype(np.float64) @ Y.astype(np.float64)
    X = np.array([ridge(pairs[u], item_factors, gram, len(items), objective, "items") for u in users], np.float32)
    rows = [(r, items.index(i), s) for r, u in enumerate(users) for i, s in sorted(pairs[u].items())]
    histories = Csr.from_pairs(
        np.array([r for r, _, _ in rows], np.int64),
        np.array([i for _, i, _ in rows], np.int64),
        np.array([s for _, _, s in rows], np.float64),
        len(users),
    )
    return Generation(
        path=Path("/nowhere"),
        name=name,
        manifest=Manifest(
            generation=name,
            created_ms=0,
            trainer="none",
            feedback=objective.feedback,
            features=Y.shape[1],
            objective=objective,
            fold=FoldSettings(feedback=objective.feedback),
            as_of_ms=0,
            counts=Counts(len(users), len(items), len(rows), len(rows), 0),
            input=dict(covers),
            files={},
        ),
        users=cast("IdTable", ListIds(users)),
        items=cast("IdTable", ListIds(items)),
        user_factors=X,
        item_factors=Y,
        user_histories=histories,
        item_histories=histories.transposed(len(items)),
        user_gram=X.T.astype(np.float64) @ X.astype(np.float64),
        item_gram=gram,
    )


def ridge(
    strengths: Mapping[str, float],
    vectors: Mapping[str, NDArray[np.float32]],
    gram: NDArray[np.float64],
    rows: int,
    objective: Objective,
    fixed: Side,
) -> NDArray[np.float64]:
    """Solve A x = b of the design's text, term by term, over the pairs that have a vector."""
    k = len(gram)
    if objective.biases is not None:
        known = [key for key in strengths if key in vectors]
        given = np.array([vectors[key] for key in known]).reshape(-1, k)
        values = np.array([strengths[key] for key in known])
        return biased_ridge(values, given, fixed, objective.biases.mean, objective.lambda_)
    A, b, n = objective.g * gram.astype(np.float64), np.zeros(k), 0
    for key, s in strengths.items():
        if key not in vectors:
            continue
        y = vectors[key].astype(np.float64)
        if objective.feedback == "explicit":
            w, t, counted = 1.0, s, True
        else:
            f = np.log1p(abs(s) / objective.epsilon) if objective.log_strength else abs(s)
            w = objective.alpha * f
            t = objective.kappa + w if s > 0 else 0.0
            counted = s > 0 if objective.counts == "positive" else s != 0
        A = A + w * np.outer(y, y)
        b = b + t * y
        n += counted
    if not b.any():
        return np.zeros(k)
    A = A + objective.lambda_ * (n + objective.rho * rows) ** objective.nu * np.eye(k)
    return np.linalg.solve(A, b)


@dataclass
class AtRest:
    """What must be known, and every vector, when all input has been folded."""

    pairs: Pairs
    users: dict[str, NDArray[np.float64] | None]
    items: dict[str, NDArray[np.float64] | None]


def at_rest(
    generation: Generation,
    base: Pairs,
    log: Sequence[tuple[int, int, Interaction]],
    partitions: int,
    sightings: Sequence[Sighting] = (),
) -> AtRest:
    """Fold a log onto a generation's histories, one record after the other, then solve every level anew.

    Ignored is what repeats another of the ``sightings``, those before the generation's offsets among them. They have
    the records' times, too: without one a record is new.
    """
    fold, as_of_ms = generation.manifest.fold, generation.manifest.as_of_ms
    ignored = repeated(sightings, fold)
    kafka_ms = {(sighting.partition, sighting.offset): sighting.kafka_ms for sighting in sightings}
    log = [record for record in log if record[:2] not in ignored]
    pairs: Pairs = {user: dict(items) for user, items in base.items()}
    touched: set[str] = set()
    forgotten: set[str] = set()
    for partition, offset, interaction in log:
        user, item, strength = interaction.user, interaction.item, interaction.strength
        if strength is not None:
            time_ms = time_of(interaction.timestamp_ms, kafka_ms.get((partition, offset), -1))
            strength = weigh(strength, interaction.kind, time_ms, fold, as_of_ms)
            if strength is None:
                continue
            mine = pairs.setdefault(user, {})
            adds = generation.manifest.feedback == "implicit"
            mine[item] = mine.get(item, 0.0) + strength if adds else strength
            touched.add(user)
        elif user and item:
            pairs.get(user, {}).pop(item, None)
            touched.add(user)
        elif user:
            pairs[user] = {}
            touched.add(user)
        else:
            forgotten.add(item)
            for other, known in pairs.items():
                if item in known:
                    touched.add(other)
                    if partition_of(other, partitions) == partition:
                        del known[item]
    rows = range(len(generation.items))
    level0 = {generation.items.id(r): generation.item_factors[r] for r in rows} | dict.fromkeys(forgotten)
    level0 = {item: vector for item, vector in level0.items() if vector is not None}
    objective = generation.manifest.objective
    users: dict[str, NDArray[np.float64] | None] = {}
    level1: dict[str, NDArray[np.float32]] = {}
    for user, known in pairs.items():
        row = generation.users.find(user)
        if any(item in level0 for item in known):
            stored = generation.user_factors[row].astype(np.float64) if row >= 0 and user not in touched else None
            solved = ridge(known, level0, generation.item_gram, len(generation.items), objective, "items")
            vector = users[user] = solved if stored is None else stored
            level1[user] = vector.astype(np.float32)
    items: dict[str, NDArray[np.float64] | None] = {i: v.astype(np.float64) for i, v in level0.items()}
    new = {item for known in pairs.values() for item in known} - set(level0)
    level2: dict[str, NDArray[np.float32]] = {}
    for item in new:
        holders = {user: known[item] for user, known in pairs.items() if item in known and user in level1}
        if holders:
            prior = generation.user_gram, len(generation.users)
            vector = items[item] = ridge(holders, level1, *prior, objective, "users")
            level2[item] = vector.astype(np.float32)
    for user, known in pairs.items():
        if user not in level1 and any(item in level2 for item in known):
            users[user] = ridge(known, level2, generation.item_gram, len(generation.items), objective, "items")
    return AtRest({u: p for u, p in pairs.items() if p}, users, items)
