"""Tests of one group run in one process, where they share a session of Spark and do not disturb each other's times."""

import os
import subprocess
import sys
from pathlib import Path

MODULE = """
import os, pytest

@pytest.mark.xdist_group("GROUP")
@pytest.mark.parametrize("number", range(10))
def test_of_a_group(number):
    with open("GROUP.txt", "a") as lines:
        print(os.environ["PYTEST_XDIST_WORKER"], file=lines)
"""


def test_the_tests_of_a_group_run_in_one_worker(tmp_path: Path) -> None:
    for module, group in (("test_a", "one"), ("test_b", "two"), ("test_c", "one")):
        (tmp_path / f"{module}.py").write_text(MODULE.replace("GROUP", group))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = (sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup", "-p", "no:cacheprovider", ".")
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr

    for group, tests in (("one", 20), ("two", 10)):
        workers = (tmp_path / f"{group}.txt").read_text().split()
        assert len(workers) == tests
        assert len(set(workers)) == 1
