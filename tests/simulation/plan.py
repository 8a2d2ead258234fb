"""What a seed is like. Each draws which faults strike at all, so that some strike often where others are absent."""

import random
from dataclasses import dataclass
from typing import Any

from oryx_py.events import FoldSettings
from oryx_py.events.fold import KindSettings
from oryx_py.numerics.objective import Objective

__all__ = ["ASLEEP", "SHARED", "SLOW", "K", "Plan", "draw", "draw_fold"]

ASLEEP = 500_000
"""From this seed on, and below the next, runs of the batch layer are taken for dead while they are paused."""
SHARED = 1_000_000
"""From this seed on speed processes have names, and share the input."""

SLOW = 1_500_000
"""From this seed on replicas also take their time to load an epoch."""

K = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes, and by how much each thing happens; chances are those of one effect or one step."""

    partitions: int
    update_partitions: int
    replicas: int
    users: int
    items: int
    records: int
    runs: int
    """Of the batch layer, at most."""
    steps: int
    objective: Objective
    """Its feedback also says how strengths fold."""
    kill: float
    pause: float
    zombie: float
    """Of a speed process that is paused: it is replaced, and wakes up."""
    asleep: float
    """The same of a batch process: another takes over its lock."""
    outage: float
    give_up: float
    short_poll: float
    follow: float
    """How soon serving reads on, beside everything else."""
    load_s: float
    """So long serving loads an epoch."""
    stale: float
    """Of one step: a message comes of somebody who has been replaced."""
    batch: float
    rollback: float
    settings: float
    """That the next generation is made by other settings."""
    trim: bool
    forgets: float
    deletes: float
    regrets: float
    """That somebody takes back what he posted last."""
    repeats: float
    unreadable: float
    new_items: float
    rest_on_log: bool
    """Whether the run ends with input that no generation covers."""
    speeds: int
    """Speed processes, at most."""
    named: float
    """How often one of them has a name in the group, without which it is alone."""
    session_s: float
    """After so long without a word the group gives one up."""
    leave: float
    """Of one step: a speed process leaves for good, or comes."""
    slice_users: int
    stale_solves: int
    """The speed layer's bounds of one step."""
    item_states: int
    """Of what others are told, in one step."""
    checkpoint_s: float
    """From one checkpoint to the next; 0 for none."""
    damage: float
    """Of one step: a checkpoint's file is cut short, or gone."""
    starts_again: bool
    """Whether all start again when all has come to rest, and have to come to the same."""


def draw(seed: int) -> Plan:
    """Return a seed's plan."""
    rng, late = random.Random(f"plan {seed}"), random.Random(f"checkpoints {seed}")
    shares = random.Random(f"shares {seed}")

    def some(most: float, often: float = 0.6) -> float:
        return rng.random() * most if rng.random() < often else 0.0

    speeds = shares.choice([1, 2, 2, 3]) if seed >= SHARED else 1
    return Plan(
        partitions=rng.randint(2, 4),
        update_partitions=rng.choice([1, 1, 2]),
        replicas=rng.choice([1, 2]),
        users=rng.randint(4, 8),
        items=rng.randint(6, 10),
        records=rng.randint(10, 60),
        runs=rng.randint(2, 6),
        steps=rng.randint(150, 350),
        objective=rng.choice(
            [
                Objective.mllib_implicit(lambda_=0.1, alpha=2.0),
                Objective.mllib_implicit(lambda_=0.1, alpha=0.5, log_strength=True, epsilon=0.1),
                Objective.ials(alpha0=0.1, lambda_=0.05),
                Objective.mllib_explicit(lambda_=0.2),
            ]
        ),
        kill=some(0.012, 0.8),
        pause=some(0.06, 0.8),
        zombie=some(0.5),
        asleep=random.Random(f"asleep {seed}").uniform(0.2, 1.0) if ASLEEP <= seed < SHARED else 0.0,
        outage=some(0.01),
        give_up=some(0.08, 0.5),
        short_poll=some(0.7),
        follow=rng.choice([3.0, 3.0, 0.5]),
        load_s=random.Random(f"loads {seed}").choice([1.0, 3.0, 6.0]) if seed >= SLOW else 0.0,
        stale=some(0.1, 0.5),
        batch=rng.uniform(0.2, 0.8),
        rollback=some(0.6, 0.5),
        settings=some(0.5, 0.5),
        trim=rng.random() < 0.6,
        forgets=some(0.2),
        deletes=some(0.3),
        regrets=some(0.4, 0.5),
        repeats=some(0.4),
        unreadable=some(0.2),
        new_items=rng.uniform(0.0, 0.6),
        rest_on_log=rng.random() < 0.7,
        speeds=speeds,
        named=0.0 if seed < SHARED else 1.0 if speeds > 1 else shares.choice([0.5, 1.0]),
        session_s=shares.choice([0.5, 2.0, 10.0]),
        leave=shares.choice([0.0, 0.01, 0.03]) if speeds > 1 else 0.0,
        slice_users=rng.choice([1, 2, 2_048]),
        stale_solves=rng.choice([2, 2_000]),
        item_states=shares.choice([1, 4, 20_000]),
        checkpoint_s=late.choice([0.0, 0.3, 1.0, 3.0]),
        damage=late.random() * 0.05 if late.random() < 0.4 else 0.0,
        starts_again=late.random() < 0.5,
    )


def draw_fold(rng: random.Random, plan: Plan) -> FoldSettings:
    """Return how interactions fold in the generations from now on: other seconds than in earnest, as runs are short."""
    dedupe: dict[str, Any] = {
        "dedupe_window_s": rng.choice([0.0, 2.0, 20.0, 86_400.0]) if plan.repeats else 0.0,
        "dedupe_records": rng.choice([1_000_000, 1_000_000, 3]),
        "max_age_s": rng.choice([0.0, 0.0, 15.0]),
    }
    if plan.objective.feedback == "explicit":
        return FoldSettings(feedback="explicit", **dedupe)
    kinds = {"buy": KindSettings(3.0), "view": KindSettings(0.4, 5.0)}
    return FoldSettings(
        feedback="implicit",
        half_life_s=rng.choice([0.0, 0.0, 4.0, 40.0]),
        kinds=rng.choice([{}, kinds]),
        zero_threshold=rng.choice([0.0, 0.0, 0.3]),
        **dedupe,
    )
