"""500 seeds of the simulated protocol, and that a seed is all that a run depends on."""

import os
import subprocess
import sys

import pytest

from tests.simulation.plan import ASLEEP, SHARED, SLOW
from tests.simulation.running import run_seed

CHUNKS, SEEDS = 20, 25
SHARED_CHUNKS = 4
ASLEEP_CHUNKS = 2
RECORDS_A_SEED, READS_A_SEED, EPOCHS_A_SEED = 10, 1, 1.5


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_nothing_is_lost_counted_twice_or_mixed(chunk: int) -> None:
    """Whoever dies, waits or repeats himself: at rest all replicas serve the fold of the input topic."""
    outcomes = [run_seed(seed) for seed in range(chunk * SEEDS, (chunk + 1) * SEEDS)]
    failed = [f"seed {outcome.seed}: {outcome.failure}" for outcome in outcomes if outcome.failure]
    assert not failed, "\n".join([*failed, "replay: python -m tests.simulation --seed N --trace"])
    assert sum(outcome.records for outcome in outcomes) >= RECORDS_A_SEED * SEEDS
    assert sum(outcome.reads for outcome in outcomes) >= READS_A_SEED * SEEDS, "too few reads to say anything"
    assert sum(outcome.epochs for outcome in outcomes) >= EPOCHS_A_SEED * SEEDS, "too few epochs to say anything"


@pytest.mark.parametrize("chunk", range(SHARED_CHUNKS))
def test_nor_where_several_speed_processes_come_and_go(chunk: int) -> None:
    first = SHARED + chunk * SEEDS
    outcomes = [run_seed(seed) for seed in range(first, first + SEEDS)]
    failed = [f"seed {outcome.seed}: {outcome.failure}" for outcome in outcomes if outcome.failure]
    assert not failed, "\n".join([*failed, "replay: python -m tests.simulation --seed N --trace"])
    assert sum(outcome.records for outcome in outcomes) >= RECORDS_A_SEED * SEEDS


@pytest.mark.parametrize("chunk", range(ASLEEP_CHUNKS))
def test_nor_where_a_run_sleeps_and_another_takes_over(chunk: int) -> None:
    first = ASLEEP + chunk * SEEDS
    outcomes = [run_seed(seed) for seed in range(first, first + SEEDS)]
    failed = [f"seed {outcome.seed}: {outcome.failure}" for outcome in outcomes if outcome.failure]
    assert not failed, "\n".join([*failed, "replay: python -m tests.simulation --seed N --trace"])
    assert sum(outcome.epochs for outcome in outcomes) >= EPOCHS_A_SEED * SEEDS, "too few epochs to say anything"


def test_nor_where_replicas_take_long_to_load_an_epoch() -> None:
    outcomes = [run_seed(seed) for seed in range(SLOW, SLOW + SEEDS)]
    failed = [f"seed {outcome.seed}: {outcome.failure}" for outcome in outcomes if outcome.failure]
    assert not failed, "\n".join([*failed, "replay: python -m tests.simulation --seed N --trace"])
    assert sum(outcome.epochs for outcome in outcomes) >= EPOCHS_A_SEED * SEEDS, "too few epochs to say anything"


def test_a_seed_replays_alone_in_another_process() -> None:
    """The same lines, whatever Python's own hashes are."""
    seed = "2047"
    command = [sys.executable, "-m", "tests.simulation", "--seed", seed, "--trace"]
    told = [
        subprocess.run(
            command,
            env={**os.environ, "PYTHONHASHSEED": hashes},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
        for hashes in ("1", "2")
    ]
    assert told[0] == told[1]
    assert len(told[0].splitlines()) > 100
    assert "is killed" in told[0] or "killed before" in told[0]
