"""A table of IDs that is written in parts is the table that is written at once, byte for byte."""

import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oryx_py.model.ids import id_spans
from oryx_py.model.ids.id_spans import create_ids, write_id_span, write_look_up
from oryx_py.model.ids.id_table import id_files, write_ids
from oryx_py.model.ids.packed_ids import PackedIds

IDS = st.sets(st.text(alphabet="aä🦉z0", min_size=1, max_size=4), min_size=1, max_size=40)


@settings(deadline=None, max_examples=30)
@given(ids=IDS, cuts=st.lists(st.integers(0, 40), max_size=4), order=st.randoms(use_true_random=False))
def test_spans_in_any_order_and_twice_make_the_table(ids, cuts, order):
    ids = sorted(ids, key=str.encode)
    edges = sorted({0, *(min(cut, len(ids)) for cut in cuts), len(ids)})
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(id_spans, "_BLOCK", 3)  # so that the look-up is sorted in several blocks
        whole, parts, work = (Path(folder, name) for name in ("whole", "parts", "work"))
        for path in (whole, parts, work):
            path.mkdir()
        write_ids(whole, "users", ids)
        create_ids(parts, work, "users", len(ids), len("".join(ids).encode()))
        spans = [*pairwise(edges), *pairwise(edges)]
        order.shuffle(spans)
        for start, stop in spans:
            before = len("".join(ids[:start]).encode())
            write_id_span(parts, work, "users", start, before, PackedIds.of(ids[start:stop]))
        write_look_up(parts, work, "users")
        for name in id_files("users"):
            assert (parts / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize("ids", [["b", "a"], ["a", "a"], ["", "a"]])
def test_ids_out_of_order_are_refused(tmp_path, ids):
    create_ids(tmp_path, tmp_path, "items", 2, 2)
    with pytest.raises(ValueError, match="from row 7 on do not ascend"):
        write_id_span(tmp_path, tmp_path, "items", 7, 0, PackedIds.of(ids))
