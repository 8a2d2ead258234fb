"""Vectors come from the parts of a model, and from nowhere else."""

import gzip
import json

import numpy as np
import pytest

from oryx_py.errors import BadMessage, StoreUnavailable
from oryx_py.oryx2.parts import read_rows
from tests.support.oryx2 import MemoryFolder, parts

VECTORS = {f"i{n}": [n + 0.5, -n] for n in range(5)} | {'ü "x"/ ': [1e-7, 3.4e38]}


def folder(**files):
    return MemoryFolder({f"Y/{name.replace('_', '-')}.gz": gzip.compress(text) for name, text in files.items()})


def rows(folder, path="Y/", features=2, max_rows=100):
    return [(name, vector.tolist()) for name, vector in read_rows(folder, path, features, max_rows)]


def test_all_rows_are_read_as_float32():
    files = MemoryFolder({f"Y/{name}": content for name, content in parts(VECTORS).items()})
    expected = {name: np.array(vector, np.float32).tolist() for name, vector in VECTORS.items()}
    assert dict(rows(files)) == expected
    assert len(rows(files)) == len(VECTORS)


def test_parts_may_be_plain_and_empty_and_of_several_gzip_members():
    line = [json.dumps([f"i{n}", [n, n]]).encode() + b"\n" for n in range(3)]
    files = MemoryFolder(
        {
            "Y/part-0": line[0],
            "Y/part-1.gz": gzip.compress(b""),
            "Y/part-2.gz": gzip.compress(line[1]) + gzip.compress(line[2]),
        }
    )
    assert [name for name, _ in rows(files)] == ["i0", "i1", "i2"]


@pytest.mark.parametrize("path", ["Y", "Y/", "./Y", "Z/../Y", "/models/1/Y/", "/models/1/./Y"])
def test_a_path_below_the_model_is_followed(path):
    assert rows(folder(part_0=b'["i",[1,2]]'), path) == [("i", [1, 2])]


@pytest.mark.parametrize(
    "path",
    [
        "..",
        "../Y",
        "Y/../../2/Y",
        "/etc",
        "/models/2/Y",
        "/models/1/../2",
        "/models/12/Y",
        "",
        "//etc",
        "file:/etc",
        "..\\Y",
        "Y\0",
    ],
)
def test_a_path_that_leads_out_of_the_model_is_refused(path):
    with pytest.raises(BadMessage, match="leads out of the model's folder"):
        rows(folder(part_0=b""), path)


LIMIT = 6 * 1024 + 64 + 2 * 32
BAD_LINES = {
    b'["i",[1,2]]\n["j",[1]]\n': "part-0.gz: line 2 has a vector of 1 numbers, the model has 2",
    b'["i",[]]': "has a vector of 0 numbers",
    b'["i",[1,2,3]]': "has a vector of 3 numbers",
    b'["i",[1,1e39]]': "line 1 has a number too large for float32",
    b'["i",[1,NaN]]': "line 1",
    b'["i",["1",2]]': "line 1",
    b'["i",[1,null]]': "line 1",
    b"[7,[1,2]]": "line 1",
    b'["",[1,2]]': "line 1: the ID is empty",
    b'["i"]': "line 1",
    b'{"i":[1,2]}': "line 1",
    b'["i",[1,2]': "line 1",
    b'["\xff",[1,2]]': "line 1",
    b'["' + b"x" * 1025 + b'",[1,2]]': "the ID has 1025 bytes",
    b"[" * 6000: "line 1",
    b" " * (LIMIT + 1): f"line 1 has more than {LIMIT} bytes",
}


@pytest.mark.parametrize("text", BAD_LINES, ids=lambda text: text[:20])
def test_a_bad_line_is_named(text):
    with pytest.raises(BadMessage, match=BAD_LINES[text]) as refused:
        rows(folder(part_0=text))
    assert "\n" not in str(refused.value)


def test_a_bomb_is_read_no_further_than_a_line():
    with pytest.raises(BadMessage, match=f"more than {LIMIT} bytes"):
        rows(folder(part_0=b" " * 20_000_000))


def test_too_many_rows_are_refused():
    with pytest.raises(BadMessage, match="more than 3 rows"):
        rows(folder(part_0=b'["i",[1,2]]\n' * 4), max_rows=3)


def test_a_damaged_file_is_named():
    whole = gzip.compress(b"".join(b'["i%d",[1,2]]\n' % n for n in range(200)))
    for damaged in (*(whole[:end] for end in range(1, len(whole))), whole[:40] + b"\xff\xff" + whole[42:], b"no gzip"):
        with pytest.raises(BadMessage, match=r"^Y/part-0.gz"):
            rows(MemoryFolder({"Y/part-0.gz": damaged}), max_rows=1000)


def test_a_side_without_files_is_refused():
    with pytest.raises(BadMessage, match="Y of the model has no files part-"):
        rows(MemoryFolder({"Y/_SUCCESS": b""}))
    with pytest.raises(StoreUnavailable):
        rows(MemoryFolder({}))
