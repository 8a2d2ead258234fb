"""Manifests: what they keep, what they refuse, what they ignore."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import xxhash

from oryx_py.errors import CorruptGeneration, UnsupportedFormat
from oryx_py.events.fold import FoldSettings, KindSettings
from oryx_py.model.files import FileEntry
from oryx_py.model.generations.manifest import Counts, Manifest, read_manifest, write_manifest
from oryx_py.model.summed import check_format
from oryx_py.numerics.objective import Objective

MANIFEST = Manifest(
    generation="20260101T000000000-00000001",
    created_ms=1_785_500_000_123,
    parent="20250101T000000000-00000001",
    trainer="mllib",
    feedback="implicit",
    features=3,
    objective=Objective.ials(alpha0=0.1, lambda_=0.003, nu=0.5),
    fold=FoldSettings(
        feedback="implicit", half_life_s=0.1, kinds={"buy": KindSettings(5.0, 1e9)}, zero_threshold=0.2, max_age_s=9.0
    ),
    hyperparameters={"iterations": 10, "checksum": "f" * 32},
    as_of_ms=1_785_500_000_000,
    counts=Counts(users=5, items=4, pairs=8, interactions=17, rejected=1),
    metrics={"recall@20": 0.25, "protocol": {"split": "time", "share": 0.1}},
    input={0: (0, 12), 11: (3, 2**53)},
    index="lists",
    versions={"python": "3.11"},
    files={"users.npy": FileEntry(188, "0" * 32), "lists/a b.faiss": FileEntry(2**40, "f" * 32)},
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "manifest.json"


def rewrite(path: Path, **changes: Any) -> None:
    """Edit a manifest as a later version might have written it: with its checksum right."""
    document = json.loads(path.read_text()) | changes
    del document["checksum"]
    unsummed = json.dumps(document | {"checksum": "0" * 32}).encode()
    path.write_text(json.dumps(document | {"checksum": xxhash.xxh3_128_hexdigest(unsummed)}))


def test_what_is_written_is_read(path: Path) -> None:
    written = write_manifest(path, MANIFEST)
    assert read_manifest(path) == written
    assert msgspec.structs.replace(written, checksum=MANIFEST.checksum) == MANIFEST
    assert list(path.parent.iterdir()) == [path]


def test_a_manifest_from_before_there_were_windows_has_none(path: Path) -> None:
    written = json.loads(write_manifest(path, MANIFEST) and path.read_text())
    fold, counts = {"feedback": "implicit"}, {k: v for k, v in written["counts"].items() if k != "repeats"}
    rewrite(path, format="1.0", fold=fold, counts=counts)
    read = read_manifest(path)
    assert (read.fold.dedupes, read.counts.repeats, read.dedupe_from) == (False, 0, {})
    assert read.fold.is_plain


def test_next_offsets_are_the_ends_of_the_input(path: Path) -> None:
    assert MANIFEST.next_offsets == {0: 12, 11: 2**53}


def test_people_can_read_it(path: Path) -> None:
    """Indented, with the names of the wire protocol."""
    write_manifest(path, MANIFEST)
    document = json.loads(path.read_text())
    assert document["input"] == {"0": [0, 12], "11": [3, 2**53]}
    assert document["objective"]["lambda"] == 0.003
    assert document["format"] == "1.2"
    assert len(path.read_text().splitlines()) > 20


def test_a_leftover_of_a_crash_is_overwritten(path: Path) -> None:
    path.with_name("manifest.json.tmp").write_text("{half")
    write_manifest(path, MANIFEST)
    assert read_manifest(path).generation == MANIFEST.generation


def test_unknown_keys_are_ignored(path: Path) -> None:
    write_manifest(path, MANIFEST)
    document = json.loads(path.read_text())
    rewrite(
        path,
        format="1.7",
        novelty={"checksum": "f" * 32},
        objective=document["objective"] | {"gamma": 1},
        fold=document["fold"] | {"half_life_days": 3},
        counts=document["counts"] | {"views": 3},
    )
    read = read_manifest(path)
    assert (read.objective, read.fold, read.counts) == (MANIFEST.objective, MANIFEST.fold, MANIFEST.counts)


def test_keys_that_an_older_version_left_out_have_their_defaults(path: Path) -> None:
    write_manifest(path, MANIFEST)
    document = json.loads(path.read_text())
    for key in ("parent", "hyperparameters", "metrics", "index", "versions"):
        del document[key]
    path.write_text(json.dumps(document))
    rewrite(path)
    read = read_manifest(path)
    assert (read.parent, read.hyperparameters, read.metrics, read.index) == (None, {}, {}, None)


@pytest.mark.parametrize("newer", ["2.0", "10.3", "2"])
def test_a_higher_major_format_is_refused_whatever_it_looks_like(path: Path, newer: str) -> None:
    write_manifest(path, MANIFEST)
    rewrite(path, format=newer, input="elsewhere now")
    with pytest.raises(UnsupportedFormat, match=f"format {newer}.*upgrade oryx-py"):
        read_manifest(path)
    path.write_text(json.dumps({"format": newer}))
    with pytest.raises(UnsupportedFormat):
        read_manifest(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "one"},
        {"format": "-1.0"},
        {"format": 1},
        {"features": "three"},
        {"input": {"zero": [0, 1]}},
        {"input": {"0": [0]}},
        {"objective": {}},
        {"feedback": "none"},
        {"files": {"users.npy": 3}},
    ],
)
def test_what_is_no_manifest_is_refused(path: Path, changes: dict[str, Any]) -> None:
    write_manifest(path, MANIFEST)
    rewrite(path, **changes)
    with pytest.raises(CorruptGeneration, match=r"manifest\.json is no manifest"):
        read_manifest(path)


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"\xff", b'{"format": "1.0"}', b"{" * 10_000])
def test_what_is_no_json_object_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(CorruptGeneration, match=r"manifest\.json is no manifest"):
        read_manifest(path)


def test_an_edited_manifest_is_refused(path: Path) -> None:
    """A generation is never changed after its commit."""
    write_manifest(path, MANIFEST)
    path.write_text(path.read_text().replace("12", "13", 1))
    with pytest.raises(CorruptGeneration, match="another checksum"):
        read_manifest(path)


def test_without_manifest_there_is_no_generation(path: Path) -> None:
    with pytest.raises(CorruptGeneration, match="never committed"):
        read_manifest(path)
    with pytest.raises(CorruptGeneration, match="never committed"):
        read_manifest(path / "below" / "manifest.json")


def test_formats_are_compared_by_their_major_number() -> None:
    check_format(b'{"format": "3.9"}', "here", supported="3.0")
    check_format(b'{"format": "2.0"}', "here", supported="3.0")
    with pytest.raises(UnsupportedFormat, match=r"here has format 4\.0, this program reads up to 3\.0"):
        check_format(b'{"format": "4.0"}', "here", supported="3.0")
