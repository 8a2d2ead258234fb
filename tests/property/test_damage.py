"""Whatever happens to a file of a generation, readers refuse it, name it, and say what to do."""

import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oryx_py.errors import CorruptGeneration, UnsupportedFormat
from oryx_py.model.generations.generation import Generation
from oryx_py.model.generations.manifest import MANIFEST, generation_files
from oryx_py.testing.generations import write_small_generation

INDEX = "index/lists.faiss"
FILES = [*generation_files(), INDEX, MANIFEST]
REMEDY = "restore it from a copy"

files = st.sampled_from(FILES)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generation with an index; tests copy it."""
    into = tmp_path_factory.mktemp("generation")
    (into / "index").mkdir()
    (into / INDEX).write_bytes(bytes(range(256)) * 3)
    write_small_generation(into, "20260101T000000000-00000001", index="index")
    return into


@pytest.fixture(scope="module")
def copies(sound: Path, tmp_path_factory: pytest.TempPathFactory) -> "Copies":
    return Copies(sound, tmp_path_factory.mktemp("copies"))


class Copies:
    """Gives one copy, mended before each use: only the files that were damaged are copied again."""

    def __init__(self, sound: Path, into: Path) -> None:
        self._sound, self.path = sound, into / "copy"
        shutil.copytree(sound, self.path)

    def fresh(self, *names: str) -> list[Path]:
        for name in FILES:
            content = (self._sound / name).read_bytes()
            copy = self.path / name
            if not copy.exists() or copy.read_bytes() != content:
                copy.write_bytes(content)
        return [self.path / name for name in names]


def assert_refused(copies: Copies, name: str) -> None:
    with pytest.raises(CorruptGeneration) as refused:
        Generation.open(copies.path)
    assert str(copies.path / name) in str(refused.value)
    assert REMEDY in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_sound_generation_opens(copies: Copies) -> None:
    copies.fresh()
    assert len(Generation.open(copies.path).users) == 5
    assert len(Generation.open(copies.path, verify="sizes").items) == 4


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(copies: Copies, name: str) -> None:
    (path,) = copies.fresh(name)
    path.unlink()
    assert_refused(copies, name)


@settings(deadline=None)
@given(name=files, share=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_short_is_named(copies: Copies, name: str, share: float) -> None:
    (path,) = copies.fresh(name)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert_refused(copies, name)


@settings(deadline=None)
@given(name=st.sampled_from(FILES), tail=st.binary(min_size=1, max_size=20))
def test_a_file_with_something_after_it_is_named(copies: Copies, name: str, tail: bytes) -> None:
    (path,) = copies.fresh(name)
    path.write_bytes(path.read_bytes() + tail)
    assert_refused(copies, name)


@settings(deadline=None, max_examples=300)
@given(name=files, where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_one_flipped_bit_is_found(copies: Copies, name: str, where: float, bit: int) -> None:
    (path,) = copies.fresh(name)
    content = bytearray(path.read_bytes())
    content[int(len(content) * where)] ^= 1 << bit
    path.write_bytes(content)
    assert_refused(copies, name)


def test_every_flipped_bit_of_the_manifest_is_found(copies: Copies) -> None:
    """It states which input counts: no digit of it may change unseen."""
    (path,) = copies.fresh(MANIFEST)
    sound = path.read_bytes()
    for at in range(0, len(sound) * 8, 3):
        damaged = bytearray(sound)
        damaged[at // 8] ^= 1 << at % 8
        path.write_bytes(damaged)
        assert_refused(copies, MANIFEST)


@settings(deadline=None)
@given(first=st.sampled_from(FILES), second=st.sampled_from(FILES))
def test_two_exchanged_files_are_found(copies: Copies, first: str, second: str) -> None:
    one, other = copies.fresh(first, second)
    contents = one.read_bytes(), other.read_bytes()
    one.write_bytes(contents[1])
    other.write_bytes(contents[0])
    if contents[0] == contents[1]:
        return
    with pytest.raises(CorruptGeneration) as refused:
        Generation.open(copies.path)
    assert str(one) in str(refused.value) or str(other) in str(refused.value)


@settings(deadline=None, max_examples=300)
@given(name=files, where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_without_checksums_damage_is_refused_or_opens_but_never_surprises(
    copies: Copies, name: str, where: float, bit: int
) -> None:
    """No exception but ours leaves the reader, whatever NumPy thinks of a header."""
    (path,) = copies.fresh(name)
    content = bytearray(path.read_bytes())
    content[int(len(content) * where)] ^= 1 << bit
    path.write_bytes(content)
    with suppress(CorruptGeneration, UnsupportedFormat):
        Generation.open(copies.path, verify="sizes")
