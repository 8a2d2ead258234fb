"""What every engine promises of files that are merged."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch_layer.engine import Engine
from batch_layer.folding.input_rows import HISTORY_SCHEMA
from tests.support.batch import read_history
from tests.support.forgetting import DAY_MS, commits_of

__all__ = ["MergingContract"]


class MergingContract:
    """Inherited by the tests of an engine, whose fixture is ``engine``."""

    def written(self, folder: Path, commits: int) -> dict[str, list[dict[str, Any]]]:
        """Rows by URI of their file, two of each commit, of three days in turn; their folder's name needs care."""
        place, found = folder / "a b%41=é", dict[str, list[dict[str, Any]]]()
        place.mkdir(parents=True)
        for number, rows in enumerate(commits_of(np.random.default_rng(9), commits, 30)):
            rows = [{**row, "kafka_ms": number * 3 // commits * DAY_MS + row["kafka_ms"] % DAY_MS} for row in rows]
            for half in range(2):
                path = place / f"{number}-{half}.parquet"
                pq.write_table(pa.Table.from_pylist(rows[half::2], HISTORY_SCHEMA), path, row_group_size=7)
                found[path.as_uri()] = rows[half::2]
        return found

    @pytest.mark.parametrize("most", [1_000_000, 50])
    def test_the_rows_of_a_group_come_together_in_the_order_of_their_offsets(
        self, engine: Engine, tmp_path: Path, most: int
    ) -> None:
        told = self.written(tmp_path, 12)
        groups = {uri: number // 8 for number, uri in enumerate(told)}
        into = tmp_path / "a b%41=é" / "into"
        engine.merge(groups, sum(map(len, told.values())), into.as_uri(), most)
        assert {path.name for path in into.iterdir() if path.is_dir()} == {"group=0", "group=1", "group=2"}
        for group in range(3):
            rows = [row for uri, number in groups.items() if number == group for row in told[uri]]
            paths = sorted((into / f"group={group}").rglob("*.parquet"))
            assert read_history(paths) == sorted(rows, key=lambda row: (row["partition"], row["offset"]))
            assert len(paths) == -(-len(rows) // most) > 0
            assert {path.parent.name for path in paths} == {f"day=1970-01-0{group + 1}"}
            assert all(pq.read_schema(path).names == HISTORY_SCHEMA.names for path in paths)
