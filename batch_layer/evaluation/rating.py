"""How far a model's ratings are from those that came after it; each item's mean beside it."""

from pathlib import Path

import numpy as np

from batch_layer.evaluation.ranking import Targets
from oryx_py.model.files import map_array
from oryx_py.model.generations.history_files import map_histories

__all__ = ["of_ratings"]

_PAIRS = 1 << 16


def of_ratings(targets: Targets, directory: Path) -> dict[str, dict[str, float]]:
    """Return the root mean squared error of the model in a directory, and of the mean of each item's ratings there."""
    if not len(targets.items):
        return {}
    users, items = (map_array(directory / f"{side}.npy", np.float32, (None, None)) for side in ("users", "items"))
    histories = map_histories(directory, "items")
    rows = np.repeat(targets.users, np.diff(targets.indptr))
    means = {item: float(histories.row(item)[1].mean()) for item in np.unique(targets.items).tolist()}
    squares = np.zeros(2)
    for first in range(0, len(rows), _PAIRS):
        span = slice(first, first + _PAIRS)
        x, y = users[rows[span]].astype(np.float64), items[targets.items[span]].astype(np.float64)
        ratings = targets.strengths[span]
        baseline = np.array([means[item] for item in targets.items[span].tolist()])
        squares += [((np.einsum("nk,nk->n", x, y) - ratings) ** 2).sum(), ((baseline - ratings) ** 2).sum()]
    model, item_mean = np.sqrt(squares / len(rows)).tolist()
    return {"model": {"rmse": model}, "item_mean": {"rmse": item_mean}}
