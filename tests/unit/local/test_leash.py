"""A leashed program dies with its parent."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from oryx_py.local.leash import leashed

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux tells a child of its parent's death"
)

PARENT = """
import subprocess, sys
from oryx_py.local.leash import leashed
child = subprocess.Popen(leashed([sys.executable, "-c", "import signal; signal.pause()"]))
print(child.pid, flush=True)
child.wait()
"""


def gone(pid: int) -> bool:
    """A container's first process may never collect the dead, so a zombie counts."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_killing_the_parent_kills_the_child(eventually: Callable[..., None]) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        assert psutil.pid_exists(child)
        parent.kill()
    eventually(lambda: gone(child))


def test_the_command_is_run_with_its_arguments_and_exit_code() -> None:
    program = "import sys; print(sys.argv[1:]); sys.exit(7)"
    run = subprocess.run(
        leashed([sys.executable, "-c", program, "a b", "-x"]), capture_output=True, text=True, check=False
    )
    assert (run.stdout, run.returncode) == ("['a b', '-x']\n", 7)


def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    run = subprocess.run(leashed([str(tmp_path / "nothing")]), capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr == f"{tmp_path / 'nothing'}: No such file or directory\n"
