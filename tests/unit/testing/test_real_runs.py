"""What kills runs: it does so within the step that is meant."""

import json
import sys
from pathlib import Path

import pytest

from batch_layer.run.steps import Step
from tests.support.real_runs import Kill, RealRuns

RUN = """
import json, os, sys, time
folder, long = sys.argv[1:]
print("no JSON")
open(f"{folder}/lock", "w").close()
print(json.dumps({"event": "lock_taken"}), flush=True)
for step in json.loads(os.environ["STEPS"]):
    if step == long:
        time.sleep(600)
    open(f"{folder}/{step}", "w").close()
    print(json.dumps({"event": "step_done", "step": step}), flush=True)
"""
STEPS = [step.value for step in Step]


def runs_in(folder: Path, long: str) -> RealRuns:
    folder.mkdir()
    (folder / "run.py").write_text(RUN)
    return RealRuns({"STEPS": json.dumps(STEPS)}, [sys.executable, str(folder / "run.py"), str(folder), long])


@pytest.mark.parametrize("step", [Step.RECOVERED, Step.ROWS_WRITTEN, Step.TRAINED])
@pytest.mark.parametrize("with_spark", [False, True], ids=["python-alone", "with-spark"])
def test_a_run_dies_within_the_step(tmp_path: Path, step: Step, with_spark: bool) -> None:
    runs = runs_in(tmp_path / "killed", step.value)
    try:
        assert runs.killed(Kill(step, 0.5, with_spark), {step: 0.1})
        assert (tmp_path / "killed" / "lock").exists()
        done = [one for one in STEPS if (tmp_path / "killed" / one).exists()]
        assert done == STEPS[: STEPS.index(step.value)]
    finally:
        runs.close()


def test_one_that_is_over_was_not_killed_and_a_whole_one_tells_its_times(tmp_path: Path) -> None:
    runs = runs_in(tmp_path / "whole", "none")
    try:
        assert set(runs.whole()) == set(Step)
        assert not runs.killed(Kill(Step.TIDIED, 1.0, with_spark=False), {Step.TIDIED: 3.0})
    finally:
        runs.close()
