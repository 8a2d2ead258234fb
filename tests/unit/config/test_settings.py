"""Settings: defaults, file, environment, and errors of one line that say what to change."""

import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from oryx_py.config import Settings, load, reference, rows
from oryx_py.config.groups import plain
from oryx_py.errors import ConfigError


def test_the_reference_has_every_key_with_its_default() -> None:
    assert tomllib.loads(reference()) == plain(Settings())


def test_every_key_of_the_reference_is_explained() -> None:
    lines = reference().splitlines()
    for before, line in pairwise(lines):
        if line and not line.startswith(("#", "[")):
            assert before.startswith(("#", "host", "max_body", "metrics_host", "[serving]")) or "=" in before, line


def test_the_environment_goes_above_the_file_and_each_value_knows_where_it_came_from(tmp_path: Path) -> None:
    file = tmp_path / "oryx.toml"
    file.write_text('[model]\nfeatures = 10\nlambda = 0.5\n[kafka.client]\n"sasl.password" = "hush"\n')
    loaded = load(file, {"ORYX__MODEL__FEATURES": "20", "ORYX__SERVING__API__READ_ONLY": "true"})
    assert (loaded.settings.model.features, loaded.settings.model.lambda_) == (20, 0.5)
    assert loaded.settings.serving.api.read_only is True
    shown = {row.key: (row.value, row.origin) for row in rows(loaded)}
    assert shown["model.features"] == ("20", "ORYX__MODEL__FEATURES")
    assert shown["model.lambda"] == ("0.5", str(file))
    assert shown["model.alpha"] == ("1.0", "default")
    assert shown["kafka.client.sasl.password"] == ("********", str(file))
    assert "hush" not in str(shown)


def test_properties_of_other_programs_pass_through_file_and_environment(tmp_path: Path) -> None:
    file = tmp_path / "oryx.toml"
    file.write_text('[batch.spark]\n"spark.driver.memory" = "4g"\n')
    settings = load(file, {"ORYX__KAFKA__CLIENT__SECURITY_PROTOCOL": "SSL"}).settings
    assert settings.batch.spark == {"spark.driver.memory": "4g"}
    assert settings.kafka.client == {"security.protocol": "SSL"}


def test_relative_places_begin_at_the_settings_file(tmp_path: Path) -> None:
    file = tmp_path / "oryx.toml"
    file.write_text('[history]\nuri = "past"\n')
    settings = load(file, {}).settings
    assert settings.store_uri == str(tmp_path / "oryx-data" / "store")
    assert settings.history_uri == str(tmp_path / "past")
    assert load(file, {"ORYX__STORE__URI": "hdfs://n/x"}).settings.store_uri == "hdfs://n/x"


@pytest.mark.parametrize(
    ("text", "environ", "words"),
    [
        ("[servng]\nport = 1", {}, ["servng.port", "did you mean serving.port?"]),
        ("[model]\nlamda = 1", {}, ["model.lamda", "did you mean model.lambda?"]),
        ("", {"ORYX__MODEL__FEATURS": "1"}, ["ORYX__MODEL__FEATURS", "did you mean model.features?"]),
        ("[model]\nfeatures = 0", {}, ["oryx.toml", "model.features = 0", ">= 1"]),
        ("", {"ORYX__SERVING__PORT": "http"}, ["ORYX__SERVING__PORT", "serving.port = 'http'", "int"]),
        ("[serving]\nport = 70000", {}, ["serving.port = 70000", "<= 65535"]),
        ('[serving.api]\ndefault_format = "xml"', {}, ["serving.api.default_format = 'xml'"]),
        ("serving = 3", {}, ["serving is a group of settings"]),
        ("[serving\n", {}, ["cannot be read"]),
        ("[input]\ntopic = 'a b'", {}, ["input.topic = 'a b'"]),
    ],
)
def test_a_mistake_is_one_line_that_names_it(
    tmp_path: Path, text: str, environ: dict[str, str], words: list[str]
) -> None:
    file = tmp_path / "oryx.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        load(file, environ)
    assert "\n" not in str(error.value) or "cannot be read" in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_a_settings_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no settings file"):
        load(tmp_path / "none.toml", {})
