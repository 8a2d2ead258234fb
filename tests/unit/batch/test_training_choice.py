"""One task or many, by the memory of the hosts; and what is free."""

from pathlib import Path

import pytest

from batch_layer.memory import available_bytes
from batch_layer.spark.fitting.choice import chosen
from batch_layer.spark.preparing import Prepared
from oryx_py.errors import UserError
from oryx_py.numerics.als.sizing import needs

SIZES = Prepared(2_000_000, 200_000, 100_000_000)
GIB = 1 << 30


@pytest.mark.parametrize(
    ("wanted", "local", "memory", "one"),
    [
        ("auto", True, 24, True),
        ("auto", False, 24, False),
        ("one", False, 24, True),
        ("many", True, 24, False),
        ("auto", True, 4, False),
        ("auto", False, 4, False),
    ],
)
def test_one_task_where_it_fits_and_nothing_is_gained_by_more(wanted, local, memory, one):
    assert chosen(wanted, SIZES, 64, local=local, memory=memory * GIB, tasks=2) is one


@pytest.mark.parametrize(("wanted", "memory"), [("auto", 1), ("one", 4), ("many", 1)])
def test_what_does_not_fit_is_refused_with_the_numbers(wanted, memory):
    with pytest.raises(UserError, match=r"2,000,000 users.*GiB.*free.*mllib"):
        chosen(wanted, SIZES, 64, local=True, memory=memory * GIB, tasks=2)


def test_what_training_takes_grows_with_everything():
    least = needs(1000, 100, 10_000, 16)
    for more in (needs(2000, 100, 10_000, 16), needs(1000, 100, 10_000, 32), needs(1000, 100, 20_000, 16)):
        assert all(after >= before for before, after in zip(least, more, strict=True))
        assert more.one_task > least.one_task
    hundred_million = needs(2_000_000, 200_000, 100_000_000, 64)
    assert 4 * GIB < hundred_million.one_task < 8 * GIB


def test_a_containers_limit_counts_less_what_it_has_taken_but_for_cached_files(tmp_path: Path):
    meminfo, cgroup = tmp_path / "meminfo", tmp_path / "cgroup"
    meminfo.write_text("MemTotal: 999 kB\nMemAvailable:     9000 kB\nNote\n")
    assert available_bytes(meminfo, cgroup) == 9000 * 1024
    cgroup.mkdir()
    for name, text in (("max", "5000000\n"), ("current", "3000000\n"), ("stat", "anon 2000000\nfile 1000000\n")):
        (cgroup / f"memory.{name}").write_text(text)
    assert available_bytes(meminfo, cgroup) == 3_000_000
    (cgroup / "memory.max").write_text("max\n")
    assert available_bytes(meminfo, cgroup) == 9000 * 1024
    assert available_bytes(tmp_path / "none", tmp_path / "none") > 1 << 20
