"""How long a start takes with a checkpoint and without, what writing one costs, and whether the state is the same.

A generation is drawn, and a state after so many interactions: all but the last ones as arrays, these folded as a speed
layer folds. A tenth of the users and items are new. A copy of the process writes the state, and it is read again, and
compared. What a start without a checkpoint takes is what those that are folded take each, times their number; reading
them from Kafka, and for serving reading all updates, comes on top and is not measured.

    python -m tests.bench.starts [--interactions 10M] [--folded 100K] [--json]
"""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from oryx_py.events import Interaction
from oryx_py.events.fold import FoldSettings
from oryx_py.messages import partition_of
from oryx_py.model.checkpoints.checkpoint_files import Checkpoint, Covered, write_checkpoint
from oryx_py.model.generations.csr import Csr
from oryx_py.model.generations.generation import Generation, write_generation
from oryx_py.model.state.changed_rows import ChangedRows
from oryx_py.model.state.changes import StateChanges, VectorChanges
from oryx_py.model.state.histories import HistoryChanges
from oryx_py.model.state.model_state import ModelState
from oryx_py.numerics.fold_in.dense import Prior
from oryx_py.numerics.objective import Objective
from oryx_py.planning.quantities import count_of
from serving_layer.model.served_model import served_state
from speed_layer.checkpoints.forking import forked
from speed_layer.folding.exact_fold import ExactFold

SEED = 7
FEATURES = 64
PER_USER = 10
"""Interactions of a user since the generation, on average; as many items are in each history before."""
BATCH = 10_000
PARTITIONS = 4


def interactions(count: int, users: int, items: int) -> Iterator[Interaction]:
    rng = np.random.default_rng(SEED)
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        # Popular items are told more often; IDs from the old counts on are new.
        who, what = rng.integers(users * 11 // 10, size=size), rng.beta(0.7, 2.0, size) * (items * 11 // 10)
        for user, item, strength in zip(who.tolist(), what.astype(int).tolist(), rng.integers(1, 5, size), strict=True):
            yield Interaction(f"user {user:09d}", f"item {item:09d}", float(strength))


def drawn(folder: Path, users: int, items: int) -> Generation:
    rng = np.random.default_rng(SEED)
    columns = ((rng.integers(items, size=users)[:, None] + np.arange(PER_USER) * 3) % items).ravel()
    rows = np.repeat(np.arange(users), PER_USER)
    write_generation(
        folder,
        name="g",
        user_ids=[f"user {user:09d}" for user in range(users)],
        item_ids=[f"item {item:09d}" for item in range(items)],
        user_factors=rng.normal(size=(users, FEATURES)) * 0.1,
        item_factors=rng.normal(size=(items, FEATURES)) * 0.1,
        user_histories=Csr.from_pairs(rows, columns, np.ones(len(rows)), users),
        objective=Objective.ials(alpha0=0.1, lambda_=0.05),
        fold=FoldSettings(feedback="implicit"),
        trainer="none",
        created_ms=0,
        as_of_ms=0,
        input=dict.fromkeys(range(PARTITIONS), (0, 0)),
        interactions=0,
        rejected=0,
    )
    return Generation.open(folder)


def drawn_changes(generation: Generation, pairs: int) -> StateChanges:
    """Every user has as many pairs, with items that go round."""
    rng = np.random.default_rng(SEED)
    old_users, old_items = len(generation.users), len(generation.items)
    users, items = old_users * 11 // 10, old_items * 11 // 10
    each = pairs // users
    first = rng.integers(items, size=users)[:, None]
    columns = ((first + np.arange(each) * 7) % items).astype(np.int32).ravel()
    rows = ChangedRows(
        np.arange(users), np.arange(users + 1) * each, columns, rng.integers(1, 5, len(columns)).astype(np.float64)
    )
    new_items = np.arange(old_items, items)
    none = np.empty(0, np.int64)
    return StateChanges(
        new_users=[f"user {user:09d}" for user in range(old_users, users)],
        new_items=[f"item {item:09d}" for item in range(old_items, items)],
        user_vectors=vectors_of(np.arange(users), rng),
        item_vectors=vectors_of(new_items, rng),
        histories=HistoryChanges(rows, none),
        forgotten_items=none,
        user_inputs=(np.arange(users), rng.integers(pairs, size=users)),
        item_inputs=(none, none),
    )


def vectors_of(handles: NDArray[np.int64], rng: np.random.Generator) -> VectorChanges:
    matrix = rng.standard_normal((len(handles), FEATURES), np.float32)
    return VectorChanges(handles, matrix, np.ones(len(handles), np.bool_))


def fold_all(state: ModelState, count: int) -> None:
    generation = state.generation
    fold = ExactFold(state, PARTITIONS)
    offsets = dict.fromkeys(range(PARTITIONS), 0)
    told = interactions(count, len(generation.users), len(generation.items))
    for at, interaction in enumerate(told, 1):
        partition = partition_of(interaction.user, PARTITIONS)
        fold.add(interaction, partition, offsets[partition])
        offsets[partition] += 1
        if at % BATCH == 0:
            fold.flush()
    fold.flush()


def differences(ours: ModelState, theirs: ModelState, sample: int = 2_000) -> dict[str, float]:
    """What of some users is not the same: pairs that differ in a bit, and the largest difference of vectors."""
    pairs, largest = 0, 0.0
    for user in np.random.default_rng(SEED).integers(len(theirs.users), size=sample).tolist():
        here, there = ours.history(user), theirs.history(user)
        pairs += not (np.array_equal(here[0], there[0]) and np.array_equal(here[1], there[1]))
        mine, other = ours.user_vector(user), theirs.user_vector(user)
        if mine is not None and other is not None:
            largest = max(largest, float(np.abs(mine - other).max()))
    return {"histories": pairs, "vectors": largest, "users": sample}


def measured(count: int, folded: int, folder: Path) -> dict[str, Any]:
    users, items = max(100, count // PER_USER), max(100, count // (PER_USER * 10))
    (folder / "g").mkdir()
    generation = drawn(folder / "g", users, items)
    process = psutil.Process()

    def clocked(what: str, call: Any) -> Any:
        wall, cpu = time.perf_counter(), time.process_time()
        result = call()
        figures[f"{what}_s"] = time.perf_counter() - wall
        figures[f"{what}_cpu_s"] = time.process_time() - cpu
        return result

    figures: dict[str, Any] = {"interactions": count, "users": users, "items": items, "features": FEATURES}
    state = ModelState(generation, 1)
    fold_all(ModelState(generation, 1), 1_000)  # compiles
    state.load(drawn_changes(generation, count - folded), {}, [])
    clocked("fold", lambda: fold_all(state, folded))
    figures["folded"] = folded
    figures["fold_us"] = figures["fold_cpu_s"] / folded * 1e6
    figures["fold_all_cpu_s"] = figures["fold_us"] * count / 1e6
    figures["state_rss_bytes"] = process.memory_info().rss

    into = folder / "c"
    into.mkdir()
    covered = Covered(dict.fromkeys(range(PARTITIONS), count), list(range(PARTITIONS)), {0: 0})

    def write() -> None:
        write_checkpoint(
            into, name="c", epoch=1, generation=generation, created_ms=0, covered=covered, changes=state.dump(), ids={}
        )

    began = time.perf_counter()
    wait = forked(write)
    figures["pause_s"] = time.perf_counter() - began
    wait()
    figures["write_s"] = time.perf_counter() - began
    figures["checkpoint_bytes"] = sum(path.stat().st_size for path in into.iterdir())

    def restored() -> ModelState:
        checkpoint = Checkpoint.open(into, generation)
        again = ModelState(generation, 1)
        again.load(checkpoint.changes, covered.input, covered.live)
        figures["pairs"] = checkpoint.manifest.pairs
        return again

    clocked("open_generation", lambda: Generation.open(folder / "g"))
    before = process.memory_info().rss
    again = clocked("load", restored)
    clocked("speed_levels", lambda: ExactFold(again, PARTITIONS))
    prior = Prior(generation.item_gram, len(generation.items), of="items")
    clocked("serving_index", lambda: served_state(again, prior))
    figures["loaded_rss_bytes"] = process.memory_info().rss - before
    base = figures["open_generation_s"] + figures["load_s"]
    figures["speed_start_s"] = base + figures["speed_levels_s"]
    figures["serving_start_s"] = base + figures["serving_index_s"]
    figures["differences"] = differences(again, state)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--interactions", default="10M")
    parser.add_argument("--folded", default="100K", help="of these, so many by the layer's own fold")
    parser.add_argument("--folder", type=Path, default=None, help="where to write; a temporary one by default")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        figures = measured(
            count_of(options.interactions, "--interactions"), count_of(options.folded, "--folded"), Path(folder)
        )
    figures["machine"] = {"cpus": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()[0]}
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:24} {value:.3f}" if isinstance(value, float) else f"{name:24} {value}")


if __name__ == "__main__":
    main()
