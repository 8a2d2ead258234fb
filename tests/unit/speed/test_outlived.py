"""Which checkpoints go: those that nobody begins with, since each of their partitions has newer ones."""

import msgspec

from oryx_py.model.checkpoints.checkpoint_files import CheckpointManifest, Covered
from speed_layer.checkpoints.retention import outlived


def manifest(*partitions: int) -> CheckpointManifest:
    """One that has these input partitions."""
    covered = Covered(dict.fromkeys(partitions, 5), [], {})
    made = {"checkpoint": "", "epoch": 1, "generation": "", "generation_checksum": "", "created_ms": 0, "pairs": 0}
    return msgspec.convert(
        {**made, "covered": msgspec.to_builtins(covered), "files": {}}, CheckpointManifest, strict=False
    )


def gone(told: list[tuple[int, str, CheckpointManifest | None]], oldest: int = 1, kept: int = 2) -> list[str]:
    names = {f"{epoch:010d}-{name}": found for epoch, name, found in told}
    return [name.partition("-")[2] for name in outlived(sorted(names), names.__getitem__, oldest, kept, range(3))]


def test_of_each_partition_the_newest_stay() -> None:
    told = [
        (1, "a", manifest(0, 1, 2)),
        (1, "b", manifest(0)),
        (1, "c", manifest(0, 1)),
        (1, "d", manifest(0, 1)),
        (1, "e", manifest(2)),
    ]
    assert gone(told) == ["b"]
    assert gone([*told, (1, "f", manifest(2))]) == ["b", "a"]
    assert gone(told, kept=1) == ["c", "b", "a"]


def test_a_partition_whose_owner_writes_no_more_keeps_what_it_has() -> None:
    told = [(1, "a", manifest(0, 1, 2)), *[(1, name, manifest(0, 1)) for name in "bcdef"]]
    assert gone(told) == ["d", "c", "b"]


def test_one_that_cannot_be_read_stays_until_all_have_newer_ones() -> None:
    """It may be of a newer version's, or the store may answer again; it does not count as one to begin with."""
    told = [(1, "a", manifest(0, 1, 2)), (1, "b", None), (1, "c", manifest(0, 1, 2))]
    assert gone(told) == []
    assert gone([*told, (1, "d", manifest(0, 1, 2))]) == ["b", "a"]


def test_epochs_past_go_and_others_count_apart() -> None:
    told = [(1, "a", manifest(0, 1, 2)), (2, "b", manifest(0, 1, 2)), (3, "c", manifest(0, 1, 2))]
    assert gone(told, oldest=2, kept=1) == ["a"]
