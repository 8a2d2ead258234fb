"""A generation that is in no file: for trying out, within one process, what a trained one would do."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oryx_py.events.fold import FoldSettings
from oryx_py.model.generations.csr import Csr
from oryx_py.model.generations.generation import Generation
from oryx_py.model.generations.manifest import Counts, Manifest
from oryx_py.model.ids.id_table import IdTable
from oryx_py.numerics.gram import gram
from oryx_py.numerics.objective import Objective

__all__ = ["generation_in_memory"]


def generation_in_memory(
    *,
    name: str,
    user_ids: Sequence[str],
    item_ids: Sequence[str],
    user_factors: NDArray[np.float32],
    item_factors: NDArray[np.float32],
    user_histories: Csr,
    objective: Objective,
    fold: FoldSettings,
    trainer: str,
    as_of_ms: int,
    input: Mapping[int, tuple[int, int]],  # noqa: A002 - the manifest's word
    interactions: int,
) -> Generation:
    """Return what `Generation.open` would, had it been written; ``path`` is that of no file.

    The arguments are those of `write_generation`: IDs ascend bytewise, row ``i`` of the factors belongs to ID ``i``,
    ``user_histories`` has a row for each user, ascending. The manifest lists no files.
    """
    manifest = Manifest(
        generation=name,
        created_ms=as_of_ms,
        trainer=trainer,
        feedback=objective.feedback,
        features=item_factors.shape[1],
        objective=objective,
        fold=fold,
        as_of_ms=as_of_ms,
        counts=Counts(len(user_ids), len(item_ids), user_histories.pairs, interactions, 0, 0),
        input=dict(input),
        files={},
    )
    return Generation(
        path=Path(),
        name=name,
        manifest=manifest,
        users=IdTable.of(user_ids),
        items=IdTable.of(item_ids),
        user_factors=user_factors,
        item_factors=item_factors,
        user_histories=user_histories,
        item_histories=user_histories.transposed(len(item_ids)),
        user_gram=gram(user_factors),
        item_gram=gram(item_factors),
    )
