"""What `oryx config` shows and advises."""

import tomllib
from pathlib import Path

import pytest

from oryx_py.config import check, load, reference, rows
from oryx_py.config.masking import MASK, is_secret, shown


@pytest.fixture(autouse=True)
def _in_a_folder_without_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A settings file where the tests are started from is nobody's business."""
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")


@pytest.mark.parametrize(
    "key",
    [
        "kafka.client.sasl.password",
        "kafka.client.ssl.key.password",
        "kafka.client.ssl.key.pem",
        "kafka.client.ssl.keystore.password",
        "kafka.client.sasl.oauthbearer.client.secret",
        "kafka.client.sasl.oauthbearer.config",
        "kafka.client.SASL.Password",
        "batch.spark.spark.hadoop.fs.s3a.secret.key",
        "batch.spark.spark.authenticate.secret",
    ],
)
def test_secrets_are_masked(key: str) -> None:
    assert is_secret(key)
    assert shown(key, "hush") == MASK


@pytest.mark.parametrize("key", ["kafka.client.security.protocol", "batch.spark.spark.driver.memory", "input.topic"])
def test_what_is_no_secret_is_shown(key: str) -> None:
    assert shown(key, "value") == '"value"'


def test_who_is_named_in_a_uri_is_masked() -> None:
    assert shown("store.uri", "hdfs://ann:hush@n:9000/x@y") == f'"hdfs://{MASK}@n:9000/x@y"'
    assert shown("store.uri", "hdfs://n:9000/x@y") == '"hdfs://n:9000/x@y"'


def test_rows_come_in_the_order_of_the_reference() -> None:
    def keys(table: dict[str, object], prefix: str = "") -> list[str]:
        found: list[str] = []
        for name, value in table.items():
            found += keys(value, f"{prefix}{name}.") if isinstance(value, dict) else [prefix + name]
        return found

    assert [row.key for row in rows(load(None, {}))] == keys(tomllib.loads(reference()))


def test_values_are_shown_as_toml_reads_them(tmp_path: Path) -> None:
    file = tmp_path / "oryx.toml"
    file.write_text(
        '[speed]\ngroup_id = "a \\"b\\" é \\n"\nepoch_overlap_s = 1e-7\n[kafka.client]\n"a.b" = 1\n', "utf-8"
    )
    loaded = load(file, {})
    for row in rows(loaded):
        if row.origin != "default":
            assert row.value in {'"a \\"b\\" é \\n"', "1e-07", '"1"'}
        tomllib.loads(f"value = {row.value}")


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, []),
        ({"ORYX__SERVING__HOST": "0.0.0.0"}, ["serving.host = 0.0.0.0"]),
        ({"ORYX__SPEED__METRICS_HOST": "0.0.0.0"}, []),
        ({"ORYX__SPEED__METRICS_HOST": "0.0.0.0", "ORYX__SPEED__METRICS_PORT": "9102"}, ["speed.metrics_host"]),
        ({"ORYX__LOCAL__BROKER_HOST": "kafka"}, ["local.broker_host"]),
        ({"ORYX__KAFKA__REPLICATION": "3"}, ["one replica only"]),
        ({"ORYX__KAFKA__BOOTSTRAP_SERVERS": "localhost:9092,127.0.0.1:9093"}, []),
        ({"ORYX__KAFKA__BOOTSTRAP_SERVERS": "k1:9092"}, ["kafka.replication = 1", "no security.protocol"]),
        (
            {
                "ORYX__KAFKA__BOOTSTRAP_SERVERS": "k1:9092",
                "ORYX__KAFKA__REPLICATION": "3",
                "ORYX__KAFKA__CLIENT__SECURITY_PROTOCOL": "SASL_SSL",
            },
            [],
        ),
        ({"ORYX__BATCH__SPARK_MASTER": "yarn"}, ["history.uri", "batch.work_dir"]),
        ({"ORYX__BATCH__SPARK_MASTER": "yarn", "ORYX__HISTORY__URI": "hdfs://n/h"}, ["batch.work_dir"]),
        ({"ORYX__BATCH__SPARK_MASTER": "local[4]", "ORYX__BATCH__WORK_DIR": "/tmp/work"}, []),
        ({"ORYX__MODEL__EPSILON": "1e-4"}, ["model.epsilon has no effect"]),
        ({"ORYX__MODEL__EPSILON": "1e-4", "ORYX__MODEL__LOG_STRENGTH": "true"}, []),
        ({"ORYX__MODEL__FEEDBACK": "explicit"}, []),
        ({"ORYX__MODEL__FEEDBACK": "explicit", "ORYX__MODEL__ALPHA": "2"}, ["model.alpha has no effect"]),
        ({"ORYX__SERVING__API__REQUEST_TIMEOUT_MS": "1500"}, ["read_after_write_timeout_ms", "api.write_timeout_ms"]),
    ],
)
def test_advice_is_given_where_something_is_probably_not_meant(environ: dict[str, str], words: list[str]) -> None:
    lines = check(load(None, environ))
    assert len(lines) == len(words)
    for line, word in zip(lines, words, strict=True):
        assert word in line
        assert "\n" not in line
