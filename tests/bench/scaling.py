"""The arithmetic of `docs/scaling.md`: what a load takes of each part, from inputs that are printed.

python -m tests.bench.scaling                   the table of the page
python -m tests.bench.scaling --rate 100K       of another load
python -m tests.bench.scaling --measure         the per-core figures anew, beside those in `planning/constants.py`
"""

import argparse
import dataclasses
import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from oryx_py.events import FoldSettings, Interaction, encode_csv, parse_value
from oryx_py.messages import UserVector, decode, encode
from oryx_py.model.generations.csr import Csr
from oryx_py.model.generations.generation import Generation, write_generation
from oryx_py.model.state.model_state import ModelState
from oryx_py.numerics.objective import Objective
from oryx_py.planning.constants import MEASURED, Constants
from oryx_py.planning.quantities import count_of, show_bytes, show_count
from oryx_py.planning.sizes import ModelSize
from speed_layer.folding.exact_fold import ExactFold

__all__ = ["Load", "measured", "rows", "table", "update_bytes"]

DAY_S = 86_400.0
_MEASURED_FEATURES = 64
"""Those of the per-core figures; other numbers of features are taken in proportion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is asked for; ``per_user`` pairs a user on average, ``interval_s`` from one generation to the next.

    ``headroom``: how much more than the average must be possible. ``shards``: of the serving layer, were it divided.
    """

    users: int = 10**9
    items: int = 10**8
    rate: int = 10**6
    features: int = 64
    per_user: int = 75
    interval_s: float = DAY_S
    headroom: float = 2.0
    replication: int = 3
    shards: int = 64


def update_bytes(features: int) -> float:
    """Bytes of one user's update with one item, as it is sent: the mean of 200 with random vectors, key and headers."""
    rng = np.random.default_rng(1)
    sizes = []
    for number in range(200):
        vector = rng.normal(scale=0.1, size=features).astype(np.float32)
        message = encode(UserVector(f"u{number:09}", vector, (f"i{number:08}",), (1.0,), 1, 10**9 + number, 10**12))
        headers = sum(len(name) + len(value) for name, value in message.headers)
        sizes.append(len(message.key) + len(message.value) + headers)
    return float(np.mean(sizes))


def touched(load: Load) -> float:
    """Users of whom something comes in an interval, were all alike: 1 − e^(−n) of them for n interactions a user."""
    return load.users * -math.expm1(-load.rate * load.interval_s / load.users)


def rows(load: Load, per: Constants = MEASURED) -> list[tuple[str, str, str]]:
    """Return each result: what, how much, and how it follows."""
    size = ModelSize(
        users=load.users,
        items=load.items,
        interactions=load.users * load.per_user,
        features=load.features,
        pairs=load.users * load.per_user,
    )
    scale = load.features / _MEASURED_FEATURES
    update = update_bytes(load.features)
    folds = 1 / (per.speed_record_s * scale)
    applies = 1 / (per.apply_update_s * scale)
    speed = math.ceil(load.headroom * load.rate / folds)
    users, cores = touched(load), load.rate / applies
    changed = users * (per.speed_user_bytes + 4 * load.features) + 16 * load.rate * load.interval_s
    sweep_s = per.train_pair_s * size.pairs * load.features + per.train_row_s * size.rows * load.features**2
    sweep = f"{per.train_pair_s * 1e9:g} ns a pair and feature, {per.train_row_s * 1e9:g} ns a row and feature²"
    solve_s = per.solve_pair_s * size.pairs * load.features
    arriving, sent = load.rate * per.topic_bytes, load.rate * update
    since = (
        f"{show_count(users)} users touched in {load.interval_s / 3600:g} h × ({per.speed_user_bytes:g} + "
        f"{4 * load.features}) bytes, 16 bytes an interaction"
    )
    shard = (
        f"{show_bytes(sent / load.shards)}/s, {cores / load.shards:.2f} cores, "
        f"{show_bytes(changed / load.shards)} a process"
    )
    return [
        (
            "input topic, network",
            f"{show_bytes(arriving)}/s in, {show_bytes(arriving * load.replication)}/s written",
            f"{show_count(load.rate)}/s × {per.topic_bytes:g} bytes, × {load.replication} replicas",
        ),
        (
            "input topic, a day kept",
            show_bytes(arriving * DAY_S * load.replication),
            "`batch.trim_keep_s`, all replicas",
        ),
        (
            "speed processes, one core each",
            f"{speed:,}",
            f"{load.headroom:g} × {show_count(load.rate)}/s ÷ {folds:,.0f}/s a core",
        ),
        ("one of them holds since the generation", show_bytes(changed / speed), "its users' share of what is below"),
        ("input partitions", f"{1 << math.ceil(math.log2(speed)):,}", "a power of two, at least one a speed process"),
        (
            "update topic, network",
            f"{show_bytes(sent)}/s",
            f"an update of {update:,.0f} bytes for each interaction, none coalesced",
        ),
        ("**a serving process reads**", f"**{show_bytes(sent)}/s**", "every process reads all updates"),
        (
            "**a serving process applies**",
            f"**{cores:,.0f} cores**" if cores >= 10 else f"**{cores:.2g} cores**",
            f"{show_count(load.rate)}/s ÷ {applies:,.0f}/s a core; one thread does it",
        ),
        ("**a serving process holds since the generation**", f"**{show_bytes(changed)}**", since),
        ("factors", show_bytes(size.factor_bytes), f"{show_count(size.rows)} rows × {load.features} × 4 bytes, mapped"),
        ("a generation", show_bytes(size.artefact_bytes), "`oryx_py.planning.sizes`: factors, histories, IDs"),
        (
            "its copy to a host",
            f"{size.artefact_bytes * per.network_s / 60:,.0f} min",
            f"{show_bytes(1 / per.network_s)}/s, an assumption",
        ),
        (
            "history, a day",
            show_bytes(load.rate * DAY_S * per.history_bytes),
            f"{per.history_bytes:g} bytes a row in Parquet, × HDFS's replicas",
        ),
        (
            "batch: a day's rows",
            f"{load.rate * (per.read_s + per.prepare_s):,.0f} cores all day",
            f"({per.read_s * 1e6:g} + {per.prepare_s * 1e6:g}) µs a row, estimated in part",
        ),
        ("batch: a sweep of the trainer", f"{sweep_s / 3600:,.0f} core hours", sweep),
        (
            "batch: the exact solve of all users",
            f"{solve_s / 3600:,.0f} core hours",
            f"{per.solve_pair_s * 1e9:g} ns a pair and feature",
        ),
        (f"one of {load.shards} shards of serving, by user", shard, "not built: below"),
    ]


def table(load: Load, per: Constants = MEASURED) -> str:
    """Return the inputs and the results as they stand in the page."""
    inputs = (
        f"Inputs: {show_count(load.users)} users, {show_count(load.items)} items, {show_count(load.rate)} "
        f"interactions/s, {load.features} features, {load.per_user} pairs a user, a generation each "
        f"{load.interval_s / 3600:g} h, headroom {load.headroom:g}, {load.replication} replicas."
    )
    lines = ["| what | how much | how it follows |", "|---|---|---|"]
    return "\n".join([inputs, "", *lines, *(f"| {' | '.join(row)} |" for row in rows(load, per))])


def measured(users: int = 20_000, items: int = 5_000, records: int = 20_000, batch: int = 500) -> dict[str, float]:
    """Measure what an interaction costs the speed layer's fold, and a reader; CPU seconds of one thread.

    A generation of random factors with 75 pairs a user, lognormal; all users are as likely, so that hardly two
    interactions of a micro-batch are one user's, as with very many users. Compiling is left out.
    """
    with tempfile.TemporaryDirectory(prefix="oryx-scaling-") as folder:
        generation = _generation(Path(folder) / "20260101T000000000-00000000", users, items)
        rng = np.random.default_rng(2)
        who = rng.integers(users, size=records + batch)
        values = [
            encode_csv(Interaction(f"u{user:09}", f"i{item:08}", 1.0, 10**12))
            for user, item in zip(who.tolist(), rng.integers(items, size=len(who)).tolist(), strict=True)
        ]
        fold = ExactFold(ModelState(generation, 1), 1)
        messages = [message for each in _folded(fold, values[:batch], batch, 0) for message in each]
        began = time.process_time()
        batches = list(_folded(fold, values[batch:], batch, batch))
        fold_s = (time.process_time() - began) / records
        messages = [message for each in batches for message in each]
        reader = ModelState(generation, 1)
        began = time.process_time()
        for message in messages:
            reader.apply(decode(message.key, message.value, message.headers))
        apply_s = (time.process_time() - began) / len(messages)
    return {"speed_record_s": fold_s, "apply_update_s": apply_s, "updates_a_record": len(messages) / records}


def _folded(fold: ExactFold, values: Sequence[bytes], batch: int, start: int) -> Iterator[list[object]]:
    for at in range(0, len(values), batch):
        for offset, value in enumerate(values[at : at + batch], start + at):
            fold.add(parse_value(value), 0, offset, 10**12)
        yield [encode(update) for update in fold.flush()]


def _generation(path: Path, users: int, items: int) -> Generation:
    rng, features = np.random.default_rng(1), _MEASURED_FEATURES
    known = np.clip(rng.lognormal(math.log(40), 1.1, users), 1, 2000).astype(np.int64)
    known = np.maximum(1, (known * 75 / known.mean()).astype(np.int64))
    at = np.repeat(np.arange(users), known)
    pairs = np.unique(np.stack([at, rng.integers(items, size=len(at))]), axis=1)
    path.mkdir()
    write_generation(
        path,
        name=path.name,
        user_ids=[f"u{user:09}" for user in range(users)],
        item_ids=[f"i{item:08}" for item in range(items)],
        user_factors=rng.normal(scale=0.1, size=(users, features)).astype(np.float32),
        item_factors=rng.normal(scale=0.1, size=(items, features)).astype(np.float32),
        user_histories=Csr.from_pairs(pairs[0], pairs[1], np.ones(pairs.shape[1]), users),
        objective=Objective.mllib_implicit(lambda_=0.05, alpha=1.0),
        fold=FoldSettings(feedback="implicit"),
        trainer="none",
        created_ms=0,
        as_of_ms=0,
        input={0: (0, 0)},
        interactions=0,
        rejected=0,
    )
    return Generation.open(path)


def main() -> int:
    """Print the page's table, or measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    defaults = Load()
    for name in ("users", "items", "rate", "features", "shards"):
        parser.add_argument(f"--{name}", type=count_of, default=getattr(defaults, name))
    parser.add_argument("--interval-h", type=float, default=defaults.interval_s / 3600)
    parser.add_argument("--measure", action="store_true", help="measure the per-core figures anew")
    options = parser.parse_args()
    if options.measure:
        for name, value in measured().items():
            known = getattr(MEASURED, name, None)
            print(f"{name:<18} {value:.3g}" + ("" if known is None else f"   planning/constants.py has {known:.3g}"))
        return 0
    given = {name: getattr(options, name) for name in ("users", "items", "rate", "features", "shards")}
    print(table(dataclasses.replace(defaults, interval_s=options.interval_h * 3600, **given)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
