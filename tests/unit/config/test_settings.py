"""Settings: defaults, file, environment, and errors of one line that say what to change."""

import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from oryx_py.config import Kafka, Kind, Loaded, Settings, check, load, reference, rows
from oryx_py.config.groups import plain
from oryx_py.errors import ConfigError


@pytest.fixture(autouse=True)
def _in_a_folder_without_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A settings file where the tests are started from is nobody's business."""
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")


def written(folder: Path, text: str) -> Path:
    file = folder / "oryx.toml"
    file.write_text(text, "utf-8")
    return file


def read(folder: Path, text: str, environ: dict[str, str] | None = None) -> Loaded:
    return load(written(folder, text), environ or {})


def test_the_reference_has_every_key_with_its_default() -> None:
    assert tomllib.loads(reference()) == plain(Settings())


def test_every_key_of_the_reference_is_explained() -> None:
    for before, line in pairwise(reference().splitlines()):
        if line and not line.startswith(("#", "[")):
            assert before.startswith("#"), line


def test_every_line_of_the_reference_fits_a_screen() -> None:
    assert max(map(len, reference().splitlines())) <= 120


def test_the_reference_itself_is_a_settings_file(tmp_path: Path) -> None:
    assert plain(read(tmp_path, reference()).settings) == plain(Settings())


def test_without_a_file_and_environment_everything_is_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = load(None, {"PATH": "/bin", "ORYX_HOME": "x"})
    assert plain(loaded.settings) == plain(Settings())
    assert (loaded.origins, loaded.sources) == ({}, ())


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("ORYX_SERVING__PORT", "ORYX__SERVING__PORT"),
        ("oryx__serving__port", "ORYX__SERVING__PORT"),
        ("ORYX_SERVING__API__READ_ONLY", "ORYX__SERVING__API__READ_ONLY"),
        ("ORYX_KAFKA__CLIENT__SASL_PASSWORD", "ORYX__KAFKA__CLIENT__SASL_PASSWORD"),
    ],
)
def test_a_variable_that_is_written_otherwise_is_no_silent_default(variable: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=f"^{variable}: .*did you mean {meant}[?]$"):
        load(None, {variable: "1"})


def test_a_variable_with_single_underscores_may_be_anybodys_and_is_mentioned() -> None:
    """Kubernetes sets `ORYX_SERVING_PORT` beside a service that is called oryx-serving."""
    loaded = load(None, {"ORYX_SERVING_PORT": "tcp://10.0.0.1:80", "ORYX_HOME": "x", "SERVING_PORT": "1"})
    assert plain(loaded.settings) == plain(Settings())
    (line,) = check(loaded)
    assert line == "ORYX_SERVING_PORT is not read: the setting's variable is ORYX__SERVING__PORT"


def test_the_file_of_the_present_folder_is_read_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "[model]\nfeatures = 7\n")
    monkeypatch.chdir(tmp_path)
    assert load(None, {}).settings.model.features == 7


def test_the_environment_goes_above_the_file_and_each_value_knows_where_it_came_from(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "# ours\n[model]\nfeatures = 10\n lambda=0.5 # weak\n\n"
        "[serving.api]\nread_only = false\n[kafka]\nclient = { 'sasl.password' = \"hush\" }\n",
    )
    loaded = load(file, {"ORYX__MODEL__FEATURES": "20", "ORYX__SERVING__API__READ_ONLY": "true"})
    assert (loaded.settings.model.features, loaded.settings.model.lambda_) == (20, 0.5)
    assert loaded.settings.serving.api.read_only is True
    origins = {row.key: (row.value, row.origin) for row in rows(loaded)}
    assert origins["model.features"] == ("20", "ORYX__MODEL__FEATURES")
    assert origins["model.lambda"] == ("0.5", f"{file}:4")
    assert origins["model.alpha"] == ("1.0", "default")
    assert origins["serving.api.read_only"] == ("true", "ORYX__SERVING__API__READ_ONLY")
    assert origins["kafka.client.sasl.password"] == ("********", f"{file}:9")
    assert loaded.sources == (str(file), "ORYX__MODEL__FEATURES", "ORYX__SERVING__API__READ_ONLY")


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("ORYX__MODEL__FEATURES", "20", 20),
        ("ORYX__MODEL__FEATURES", " 0x10 ", 16),
        ("ORYX__MODEL__LAMBDA", "1", 1.0),
        ("ORYX__MODEL__LOG_STRENGTH", "true", True),
        ("ORYX__MODEL__FEEDBACK", "explicit", "explicit"),
        ("ORYX__MODEL__FEEDBACK", '"explicit"', "explicit"),
        ("ORYX__SPEED__GROUP_ID", "12", "12"),
        ("ORYX__SPEED__GROUP_ID", "true", "true"),
        ("ORYX__SPEED__GROUP_ID", "a 'b", "a 'b"),
        ("ORYX__SPEED__GROUP_ID", "x\ny = 2", "x\ny = 2"),
        ("ORYX__SPEED__GROUP_ID", "1\nother = 2", "1\nother = 2"),
        ("ORYX__SPEED__GROUP_ID", "[" * 5000, "[" * 5000),
        ("ORYX__STORE__URI", "", ""),
    ],
)
def test_a_variable_is_read_as_toml_and_else_as_text(variable: str, text: str, value: object) -> None:
    loaded = load(None, {variable: text})
    group, key = variable.lower().split("__")[1:]
    assert plain(loaded.settings)[group][key] == value


@pytest.mark.parametrize(
    "text",
    [
        '[kafka.client]\n"security.protocol" = "SSL"\n"socket.timeout.ms" = 3000\n"log.queue" = true',
        '[kafka.client]\nsecurity.protocol = "SSL"\nsocket.timeout.ms = 3000\nlog.queue = true',
        '[kafka.client.security]\nprotocol = "SSL"\n[kafka.client]\n"socket.timeout" = {ms = 3000}\nlog.queue = true',
        'kafka.client = {security.protocol = "SSL", socket.timeout.ms = 3000, "log.queue" = true}',
    ],
)
def test_properties_may_be_written_in_any_of_tomls_ways(tmp_path: Path, text: str) -> None:
    client = {"security.protocol": "SSL", "socket.timeout.ms": "3000", "log.queue": "true"}
    assert read(tmp_path, text).settings.kafka.client == client


def test_properties_can_come_from_the_environment_and_go_above_the_files(tmp_path: Path) -> None:
    environ = {
        "ORYX__KAFKA__CLIENT__SECURITY_PROTOCOL": "SSL",
        "ORYX__KAFKA__CLIENT__SASL_PASSWORD": "0123",
        "ORYX__BATCH__SPARK": '{ "spark.driver.maxResultSize" = "2g" }',
    }
    text = '[kafka.client]\n"security.protocol" = "PLAINTEXT"\n[batch.spark]\n"spark.driver.memory" = "4g"\n'
    settings = read(tmp_path, text, environ).settings
    assert settings.kafka.client == {"security.protocol": "SSL", "sasl.password": "0123"}
    assert settings.batch.spark == {"spark.driver.memory": "4g", "spark.driver.maxResultSize": "2g"}


def test_kinds_have_names_of_ones_own(tmp_path: Path) -> None:
    text = '[input.kinds.buy]\nweight = 5\n[input.kinds."a.b"]\nhalf_life_h = 24\n[input.kinds]\nc = {weight = 2}\n'
    loaded = read(tmp_path, text, {"ORYX__INPUT__KINDS": "{ buy = { half_life_h = 0 } }"})
    assert loaded.settings.input.kinds == {
        "buy": Kind(weight=5.0, half_life_h=0.0),
        "a.b": Kind(half_life_h=24.0),
        "c": Kind(weight=2.0),
    }
    shown = {row.key: (row.value, row.origin.rpartition("/")[2]) for row in rows(loaded) if ".kinds" in row.key}
    assert shown["input.kinds.buy.weight"] == ("5.0", "oryx.toml:2")
    assert shown["input.kinds.buy.half_life_h"] == ("0.0", "ORYX__INPUT__KINDS")
    assert "input.kinds.c.half_life_h" not in shown
    assert read(tmp_path, "", {"ORYX__INPUT__KINDS__BUY__WEIGHT": "5"}).settings.input.kinds == {"buy": Kind(5.0)}


def test_relative_places_begin_at_the_settings_file(tmp_path: Path) -> None:
    settings = read(tmp_path, '[history]\nuri = "past"\n').settings
    assert settings.local_dir == tmp_path / "oryx-data"
    assert settings.store_uri == str(tmp_path / "oryx-data" / "store")
    assert settings.history_uri == str(tmp_path / "past")
    for uri in ("hdfs://n/x", "file:///x"):
        assert read(tmp_path, "", {"ORYX__STORE__URI": uri}).settings.store_uri == uri


def test_without_a_file_relative_places_begin_at_the_present_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(None, {}).settings.local_dir == tmp_path / "oryx-data"


def test_names_and_counts_that_are_not_set_follow_from_others(tmp_path: Path) -> None:
    default = read(tmp_path, "").settings
    assert (default.dead_letter_topic, default.input_partitions) == ("OryxInput.dead-letter", 4)
    cluster = read(tmp_path, '[kafka]\nbootstrap_servers = "k:9092"\n[input]\ntopic = "In"').settings
    assert (cluster.dead_letter_topic, cluster.input_partitions) == ("In.dead-letter", 16)
    own = read(tmp_path, '[input]\npartitions = 3\n[dead_letter]\ntopic = "bad"').settings
    assert (own.dead_letter_topic, own.input_partitions) == ("bad", 3)


def test_a_byte_order_mark_of_an_editor_does_no_harm(tmp_path: Path) -> None:
    assert read(tmp_path, "\ufeff[model]\nfeatures = 7\n").settings.model.features == 7


MISTAKES = [
    ("[servng]\nport = 1", ":2: there is no setting servng.port; did you mean serving.port?"),
    ("[servng]", ":1: there is no setting servng; did you mean serving?"),
    ("\n[model]\nlamda = 1", ":3: there is no setting model.lamda; did you mean model.lambda?"),
    ("features = 1", ":1: there is no setting features; did you mean model.features?"),
    ("[serving]\nread_only = true", ":2: there is no setting serving.read_only; did you mean serving.api.read_only?"),
    ('"model.features" = 1', ":1: there is no setting model.features; did you mean model.features?"),
    ("[zzz]\nqqq = 1", ":2: there is no setting zzz.qqq; `oryx config reference` lists all"),
    ('"a\\nb" = 1', ": there is no setting a\\nb; "),
    ('base = "/"', ":1: there is no setting base; "),
    ("serving = 3", ":1: serving is a group of settings, not a value"),
    ("[[serving]]", ": serving is a group of settings, not a value"),
    ("kafka.client = 3", ":1: kafka.client is a group of settings, not a value"),
    ("[model]\nfeatures = 0", ":2: model.features = 0: must be a whole number from 1 to 4096"),
    ("[model]\nfeatures = 3.0", ":2: model.features = 3.0: must be a whole number from 1 to 4096"),
    ("[model]\nfeatures = true", ":2: model.features = true: must be a whole number from 1 to 4096"),
    ("[model.features]\na = 1", ":1: model.features = a table: must be a whole number from 1 to 4096"),
    ("[model]\niterations = '9'", ':2: model.iterations = "9": must be a whole number of 1 or more'),
    ("[model]\nlambda = nan", ":2: model.lambda = nan: must be a number from 0 to 1000000"),
    ("[batch]\ninterval_s = inf", ":2: batch.interval_s = inf: must be a number above 0"),
    (
        "[batch]\ninterval_s = 1e10",
        ":2: batch.interval_s = 10000000000.0: must be a number above 0, 1000000000 at most",
    ),
    ("[model]\nalpha = 1e300", ":2: model.alpha = 1e+300: must be a number above 0, 1000000 at most"),
    ("[model]\nseed = -1", ":2: model.seed = -1: must be a whole number of 0 or more, "),
    ("[model]\niterations = 1" + "0" * 30, ":2: model.iterations = 1000000000000000000000000000000: must be a whole "),
    (
        "[serving.api]\nwrite_timeout_ms = 1" + "0" * 18,
        ":2: serving.api.write_timeout_ms = 1000000000000000000: must be ",
    ),
    ("[model]\nlog_strength = 1", ":2: model.log_strength = 1: must be true or false"),
    ("[serving]\nport = 70000", ":2: serving.port = 70000: must be a whole number from 0 to 65535"),
    ("[serving]\nhost = ''", ':2: serving.host = "": must be text that is not empty'),
    ("[store]\nuri = 2026-01-01", ":2: store.uri = 2026-01-01: must be text"),
    ('[serving.api]\ndefault_format = "xml"', ':2: serving.api.default_format = "xml": must be "csv" or "json"'),
    ("[batch]\ntrainer = 'als'", ':2: batch.trainer = "als": must be "ials" or "mllib"'),
    ("[input]\ntopic = 'a b'", ':2: input.topic = "a b": must be a topic\'s name: up to 200 of A-Z a-z 0-9 . _ -'),
    ('[input]\ntopic = "a\\n"', ':2: input.topic = "a\\n": must be a topic\'s name: '),
    ("[speed]\ngroup_id = [" + "1, " * 1000 + "]", ":2: speed.group_id = [1, 1, 1, "),
    ("[kafka.client]\nx = [1]", ":2: kafka.client.x = [1]: must be text, a number, true or false"),
    ("[kafka.client]\nsasl.password = [1]", ":2: kafka.client.sasl.password = ********: must be text"),
    (
        "[input]\ntopic = 'OryxUpdate'",
        "input.topic and update.topic are both 'OryxUpdate': each needs a topic of its own",
    ),
    ("[kafka.client]\nbootstrap.servers = 'k'", "kafka.client: remove 'bootstrap.servers', and set kafka.bootstrap_"),
    (
        "[serving.api]\nmax_inflated_bytes = 9",
        "serving.api.max_inflated_bytes = 9 must be at least serving.api.max_body_",
    ),
    ("[update]\ndialect = 'oryx2'", 'update.dialect = "oryx2" needs speed.fold_in = "oryx": '),
    ("[speed]\nfold_in = 'oryx2'", ':2: speed.fold_in = "oryx2": must be "exact" or "oryx"'),
    ("[speed]\nstale_solves = 0", ":2: speed.stale_solves = 0: must be a whole number of 1 or more"),
    ("[speed]\nstale_pairs = 0.5", ":2: speed.stale_pairs = 0.5: must be a whole number of 1 or more"),
    ("[speed]\nitem_states = 0", ":2: speed.item_states = 0: must be a whole number of 1 or more"),
    ("[speed]\nreplay_users = -1", ":2: speed.replay_users = -1: must be a whole number of 1 or more"),
    ("[speed]\nsolver = 'lu'", ':2: speed.solver = "lu": must be "auto", "cg", "dense" or "rls"'),
    ("[speed]\nsolver_cache_bytes = -1", ":2: speed.solver_cache_bytes = -1: must be a whole number of 0 or more"),
    (
        "[input.kinds.buy]\nstrength = 5",
        ":2: there is no setting input.kinds.buy.strength; did you mean input.kinds.buy.",
    ),
    ("[input.kinds]\nbuy = 5", ":2: input.kinds.buy is a group of settings: give it weight or half_life_h"),
    ("[input.kinds.buy]", ":1: input.kinds.buy is a group of settings: give it weight or half_life_h"),
    ("[input.kinds.b]\nweight = 'x'", ':2: input.kinds.b.weight = "x": must be a number from -1000000 to 1000000'),
    ("[input.kinds.b]\nhalf_life_h = -1", ":2: input.kinds.b.half_life_h = -1: must be a number from 0 to 10000000"),
    (
        "[model]\nfeedback = 'explicit'\nhalf_life_h = 1",
        "model.half_life_h is for implicit feedback, where strengths add up: remove it, or set model.feedback = ",
    ),
    ("[model]\nfeedback = 'explicit'\n[input.kinds.b]\nweight = 2", "input.kinds is for implicit feedback, "),
    ("[serving\n", " cannot be read: "),
    ("x = " + "[" * 5000, " cannot be read: "),
    ("x = " + "9" * 5000, " cannot be read: "),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_a_mistake_in_the_file_is_one_line_with_its_place_the_value_and_what_to_write(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, text)
    line = str(error.value)
    assert line.removeprefix(str(tmp_path / "oryx.toml")).startswith(message)
    assert "\n" not in line
    assert len(line) < 400


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("ORYX__MODEL__FEATURS", "1", "there is no setting model.featurs; did you mean ORYX__MODEL__FEATURES?"),
        ("ORYX__SERVING", "1", "serving is a group of settings, not a value"),
        ("ORYX__KAFKA__CLIENT", "x", "kafka.client is a group of settings, not a value"),
        (
            "ORYX__INPUT__KINDS",
            "{ buy = { weigt = 5 } }",
            "there is no setting input.kinds.buy.weigt; did you mean input.kinds.buy.weight?",
        ),
        ("ORYX__SERVING__PORT", "http", 'serving.port = "http": must be a whole number from 0 to 65535'),
        ("ORYX__SERVING__PORT", "", 'serving.port = "": must be a whole number from 0 to 65535'),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(variable: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(None, {variable: text})
    assert str(error.value) == f"{variable}: {message}"


def test_a_settings_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no settings file .*none\.toml"):
        load(tmp_path / "none.toml", {})
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path, {})
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "latin.toml", {})


def test_no_printed_form_of_the_settings_has_a_secret() -> None:
    settings = Settings(kafka=Kafka(client={"sasl.password": "hush", "security.protocol": "SSL"}))
    assert "hush" not in repr(settings)
    assert "SSL" in repr(settings)
