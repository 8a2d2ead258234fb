"""How to train, by the memory of the hosts; and what is free."""

from pathlib import Path

import pytest

from batch_layer.host.memory import available_bytes
from batch_layer.spark.fitting.choice import chosen
from batch_layer.spark.preparing import Prepared
from oryx_py.errors import NoRoom, UserError
from oryx_py.numerics.als.sizing import needs

SIZES = Prepared(2_000_000, 200_000, 100_000_000)
GIB = 1 << 30


@pytest.mark.parametrize(
    ("wanted", "local", "shared", "memory", "way"),
    [
        ("auto", True, True, 24, "alone"),
        ("auto", False, True, 24, "rounds"),
        ("auto", False, False, 24, "blocks"),
        ("one", False, True, 24, "alone"),
        ("many", True, True, 24, "rounds"),
        ("blocks", True, True, 24, "blocks"),
        ("auto", True, True, 4, "rounds"),
        ("auto", False, True, 4, "rounds"),
        ("auto", False, True, 1.2, "blocks"),
        ("auto", True, True, 1.2, "blocks"),
    ],
)
def test_alone_where_it_fits_rounds_where_a_side_does_and_blocks_otherwise(wanted, local, shared, memory, way):
    found = chosen(
        wanted, SIZES, 64, local=local, memory=int(memory * GIB), tasks=2, least_task=GIB // 2, shared=shared
    )
    assert found == way


@pytest.mark.parametrize("wanted", ["one", "many", "blocks", "auto"])
def test_what_would_fit_were_all_memory_free_is_a_moments_shortage(wanted):
    def refused(most):
        with pytest.raises(UserError, match="are free") as told:
            chosen(wanted, SIZES, 64, local=True, memory=GIB // 2, most=most, tasks=2, least_task=GIB // 2)
        return type(told.value)

    assert refused(24 * GIB) is NoRoom
    assert refused(GIB - 1) is UserError


@pytest.mark.parametrize(
    ("wanted", "shared", "memory", "says"),
    [
        ("auto", True, 0.9, r"memory with 2 tasks at a time, 0\.9 are free.*fewer tasks"),
        ("blocks", True, 0.9, "of a host"),
        ("one", True, 4, 'free: lower model.features, or set batch.training_tasks = "auto"'),
        ("many", True, 1, "batch.training_tasks"),
        ("many", False, 24, "executors do not see one folder"),
    ],
    ids=["auto", "blocks", "one", "many", "not-shared"],
)
def test_what_does_not_fit_is_refused_with_the_numbers(wanted, shared, memory, says):
    with pytest.raises(UserError, match=rf"2,000,000 users.*GiB.*{says}"):
        chosen(
            wanted,
            SIZES,
            64,
            local=True,
            memory=int(memory * GIB),
            tasks=2,
            least_task=GIB // 2,
            shared=shared,
        )


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
