"""How far published vectors are from the dense solve of a history that is folded here once more, by itself."""

from collections.abc import Iterable, Mapping

import numpy as np

from oryx_py.events import FoldSettings, fold_pair
from oryx_py.messages import UserVector, decode
from oryx_py.model.generations.generation import Generation
from oryx_py.numerics.fold_in.dense import Prior, fold_in
from oryx_py.ports import Record
from tests.bench.speed.world import Log, user_id

__all__ = ["errors_of", "last_vectors", "sampled"]


def sampled(log: Log, generation: Generation, count: int, seed: int) -> set[int]:
    """Return users that the log touches: any, and as many of the longest histories."""
    touched = np.unique(log.users)
    rng = np.random.default_rng([seed, 6])
    known = touched[touched < len(generation.users)]
    lengths = np.diff(generation.user_histories.indptr)[known]
    longest = known[np.argsort(lengths)[-max(1, count // 10) :]]
    return {*rng.choice(touched, min(count, len(touched)), replace=False).tolist(), *longest.tolist()}


def last_vectors(records: Iterable[Record], users: set[int]) -> dict[str, UserVector]:
    """Return the newest vector sent of each of these users."""
    wanted = {user_id(user).encode(): user_id(user) for user in users}
    found: dict[str, UserVector] = {}
    for record in records:
        if record.key == b"UP" and record.value is not None and record.value[:5] == b'["X",':
            name = wanted.get(record.value[6 : record.value.index(b'"', 6)])
            if name is not None:
                update = decode(record.key, record.value, record.headers)
                assert isinstance(update, UserVector)
                found[name] = update
    return found


def errors_of(log: Log, generation: Generation, users: set[int], sent: Mapping[str, UserVector]) -> np.ndarray:
    """Return float64[n], ``‖x − x*‖ / ‖x*‖`` of each user of the sample who has a level-0 item.

    Raises:
        AssertionError: one of them was never sent, or nobody is left to compare.
    """
    settings, objective = generation.manifest.fold, generation.manifest.objective
    prior = Prior(generation.item_gram, len(generation.items), "items")
    rows: dict[int, list[int]] = {user: [] for user in users}
    for at in np.flatnonzero(np.isin(log.users, list(users))).tolist():
        rows[int(log.users[at])].append(at)
    errors: list[float] = []
    for user, places in rows.items():
        pairs = folded(log, generation, user, places, settings)
        old = sorted(item for item in pairs if item < len(generation.items))
        if not old:
            continue
        strengths = np.array([pairs[item] for item in old])
        exact = fold_in(strengths, generation.item_factors[old], prior, objective)
        vector = sent[user_id(user)].vector
        assert vector is not None, user_id(user)
        errors.append(float(np.linalg.norm(vector - exact) / max(np.linalg.norm(exact), 1e-300)))
    assert errors, "no user of the sample can be compared"
    return np.array(errors)


def folded(log: Log, generation: Generation, user: int, places: list[int], settings: FoldSettings) -> dict[int, float]:
    """Return a user's pairs by item: the generation's, and what the log says, repeats left out."""
    pairs: dict[int, float] = {}
    if user < len(generation.users):
        items, strengths = generation.user_histories.row(user)
        pairs = dict(zip(items.tolist(), strengths.tolist(), strict=True))
    seen: set[int] = set()
    for at in places:
        key = int(log.keys[at])
        if key >= 0 and key in seen:
            continue
        seen.add(key)
        item, strength = int(log.items[at]), float(log.strengths[at])
        state = fold_pair(pairs.get(item), None if np.isnan(strength) else strength, settings)
        if state is None:
            pairs.pop(item, None)
        else:
            pairs[item] = state
    return pairs
