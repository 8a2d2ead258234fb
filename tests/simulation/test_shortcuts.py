"""A shortcut answers as what it stands for."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from oryx_py.errors import CorruptGeneration
from oryx_py.model.files import map_array, write_array
from tests.simulation.shortcuts import shortcuts


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_an_array_is_mapped_read_only_as_it_is(rows: int, tmp_path: Path) -> None:
    written = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)
    write_array(tmp_path / "a.npy", written)
    with shortcuts():
        mapped = map_array(tmp_path / "a.npy", np.float32, (rows, 3))
    (tmp_path / "a.npy").unlink()
    assert (mapped.dtype, mapped.shape, mapped.tobytes()) == (written.dtype, written.shape, written.tobytes())
    assert not mapped.flags.writeable


@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no array"),
        lambda path: path.write_bytes(path.read_bytes()[:64]),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes().replace(b"descr", b"drecs")),
        lambda path: path.write_bytes(path.read_bytes().replace(b"f4", b"f8")),
        lambda path: path.write_bytes(path.read_bytes().replace(b"(4, 3)", b"(3, 4)")),
        lambda path: path.write_bytes(path.read_bytes().replace(b"False", b"True ")),
    ],
)
def test_a_damaged_file_is_refused_in_the_same_words(damage: Callable[[Path], object], tmp_path: Path) -> None:
    write_array(tmp_path / "a.npy", np.zeros((4, 3), np.float32))
    damage(tmp_path / "a.npy")
    with pytest.raises(CorruptGeneration) as numpys:
        map_array(tmp_path / "a.npy", np.float32, (4, 3))
    with shortcuts(), pytest.raises(CorruptGeneration) as ours:
        map_array(tmp_path / "a.npy", np.float32, (4, 3))
    assert str(ours.value) == str(numpys.value)
