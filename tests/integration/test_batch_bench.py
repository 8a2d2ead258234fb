"""The batch benchmark's trainers train: what comes out of them ranks what was held out."""

from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from oryx_py.testing.long_tail import LongTail
from tests.bench.batch.samples import world_sample
from tests.bench.batch.scoring import ndcg_of, popularity_ndcg
from tests.bench.batch.trainers import MLlib, Oryx
from tests.bench.batch.tuning import found_before

pytestmark = [pytest.mark.spark, pytest.mark.xdist_group("spark")]


@pytest.mark.parametrize(("kind", "name"), [(Oryx, "oryx"), (MLlib, "mllib")])
def test_a_trainer_learns_the_tastes(
    spark: SparkSession, tmp_path: Path, kind: type[Oryx] | type[MLlib], name: str
) -> None:
    sample, _ = world_sample(LongTail(users=600, items=300, interactions=15_000, test_users=300))
    sample.save(tmp_path / "sample")
    trainer = kind(spark)
    trainer.open(tmp_path, "")
    trainer.prepare(tmp_path / "sample")
    (tmp_path / "factors").mkdir()
    parameters = {**found_before(name, "tiny", 8)[0], "epochs": 4}
    seconds = trainer.fit(8, parameters, tmp_path / "factors")
    trainer.close()
    factors = (np.load(tmp_path / "factors" / f"{side}.npy") for side in ("users", "items"))
    assert ndcg_of(sample, *factors) > 1.3 * popularity_ndcg(sample)
    assert 0 < seconds["train"] <= seconds["total"] + 1e-9
