"""The command line as a user meets it: help, exit codes, one line for every error."""

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from oryx_py.cli import asking
from oryx_py.cli.config import app as config_app
from oryx_py.cli.main import app
from oryx_py.local.ports import choose
from tests.unit.cli.scripted_service import Asked, Reply, ScriptedService, scripted

COMMANDS = [
    *(["up"], ["demo"], ["broker"], ["batch"], ["speed"], ["serve"], ["ingest"], ["recommend"], ["tail"], ["setup"]),
    *(["pref"], ["similar"], ["because"], ["estimate"]),
    *(["generations"], ["rollback"], ["config"], ["config", "show"], ["config", "check"], ["config", "reference"]),
    *(["version"], ["world"], ["plan"], ["status"], ["forget"]),
]


@pytest.fixture(autouse=True)
def an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No settings of whoever runs the tests are read, and nothing is left with them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("COLUMNS", "TERMINAL_WIDTH"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def taking(reply: Callable[[], Reply | None] = lambda: Reply(204)) -> Callable[[Asked], Reply | None]:
    """A service that is ready, and answers what is sent to it."""
    return lambda asked: reply() if asked.method == "POST" else Reply(body={"ready": True})


def posted(there: ScriptedService) -> list[bytes]:
    """The bodies that were sent."""
    return [asked.body for asked in there.asked if asked.method == "POST"]


def oryx(*arguments: str, env: dict[str, str] | None = None, input_: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), env=env, input=input_)


@pytest.mark.parametrize("command", [[], *COMMANDS], ids=" ".join)
def test_help_says_what_it_does_and_shows_an_example(command: list[str]) -> None:
    result = oryx(*command, "--help")
    assert result.exit_code == 0
    text = " ".join(result.stdout.split())
    assert "Usage:" in text
    if command not in (["version"], ["config"]):
        assert "Example" in text or not command
        assert re.search(f"oryx .*{' '.join(command)}", text.partition("[OPTIONS]")[2])


def test_help_is_written_for_a_terminal_of_eighty_columns() -> None:
    """All but a text's first paragraph, which is filled anew, keeps the lines of its source."""
    groups = [app, config_app]
    callbacks = [command.callback for group in groups for command in group.registered_commands]
    for callback in [
        *callbacks,
        *(group.registered_callback and group.registered_callback.callback for group in groups),
    ]:
        _, _, rest = inspect.getdoc(callback).partition("\n\n")  # type: ignore[union-attr]
        assert [line for line in rest.splitlines() if len(line) > 78] == []


def test_the_top_help_lists_every_command() -> None:
    text = oryx("--help").stdout
    assert all(f" {command[0]} " in text for command in COMMANDS)


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from oryx_py.cli.main import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'numba', 'pyspark', 'pyarrow', 'aiohttp', 'faiss', 'confluent_kafka', 'structlog'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def one_line(result: Result, code: int) -> str:
    """The one line on standard error, after which the command ended with this code."""
    assert result.exit_code == code, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("oryx: ")
    return line


def test_no_service_is_one_line_that_says_what_to_start() -> None:
    line = one_line(oryx("recommend", "ann", "--url", f"http://127.0.0.1:{choose(())}"), 2)
    assert "start `oryx up`" in line


def test_a_settings_file_that_is_not_there_is_one_line() -> None:
    assert "nowhere.toml" in one_line(oryx("--config", "nowhere.toml", "config", "check"), 2)


def test_an_unknown_setting_names_the_near_one(tmp_path: Path) -> None:
    (tmp_path / "oryx.toml").write_text("[serving]\nprot = 1\n")
    assert "serving.port" in one_line(oryx("config", "check"), 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[store]\nuri = "memory://generations"\n', "set store.registry_uri to a folder or to hdfs://"),
        ('[store]\nuri = "hdfs://namenode/oryx"\n', "set hdfs.webhdfs_url"),
        ('[history]\nuri = "memory://rows"\n', "set history.uri to a folder or to hdfs://"),
        ('[store]\nuri = "sz://bucket/oryx"\n', "Protocol not known: sz"),
    ],
    ids=["registry", "hdfs", "history", "unknown"],
)
def test_places_that_cannot_hold_what_they_should_are_wrong_settings(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "oryx.toml").write_text(text)
    assert said in one_line(oryx("config", "check"), 2)


def test_this_machines_own_hdfs_need_not_run_for_its_settings_to_be_fine() -> None:
    assert oryx("config", "check", env={"ORYX__LOCAL__HDFS": "true"}).exit_code == 0


def test_what_nobody_foresaw_is_one_line_and_with_debug_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> str:
        raise ValueError("odd\nthing")

    monkeypatch.setattr(asking, "url_of", broken)
    assert "unforeseen ValueError: odd thing; this should be reported" in one_line(oryx("recommend", "ann"), 1)
    result = oryx("--debug", "recommend", "ann")
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert "in broken" in result.stderr


def test_ctrl_c_ends_with_130_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(asking, "url_of", interrupted)
    result = oryx("recommend", "ann")
    assert (result.exit_code, result.stderr) == (130, "")


def test_a_missing_extra_is_one_line_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oryx_py.cli.extras.find_spec", lambda name: None)
    for command, extra in (("batch", "batch"), ("speed", "speed"), ("serve", "serving")):
        assert f"run `pip install 'oryx-py[{extra}]'`" in one_line(oryx(command), 2)


def test_a_wrong_argument_ends_with_2() -> None:
    assert oryx("recommend").exit_code == 2
    assert oryx("recommend", "ann", "--how-many", "0").exit_code == 2
    assert oryx("nonsense").exit_code == 2
    assert oryx("tail", "inputs").exit_code == 2


def test_config_show_has_every_value_and_its_origin_without_secrets(tmp_path: Path) -> None:
    (tmp_path / "oryx.toml").write_text('[serving]\nport = 81\n[kafka.client]\n"sasl.password" = "hush"\n')
    result = oryx("config", "show", env={"ORYX__LOG__LEVEL": "debug"})
    rows = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()}
    assert rows["serving.port"] == ["81", "oryx.toml:2"]
    assert rows["log.level"] == ['"debug"', "ORYX__LOG__LEVEL"]
    assert rows["model.features"][1:] == ["default"]
    assert "hush" not in result.output
    assert result.exit_code == 0


def test_the_settings_file_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("[serving]\nport = 82\n")
    assert "82" in oryx("--config", "other.toml", "config", "show").stdout


def test_config_check_says_what_was_read(tmp_path: Path) -> None:
    assert "all defaults" in oryx("config", "check").stdout
    (tmp_path / "oryx.toml").write_text("[serving]\nport = 81\n")
    assert oryx("config", "check").stdout == "the settings are fine (oryx.toml)\n"


def test_the_reference_is_a_settings_file(tmp_path: Path) -> None:
    (tmp_path / "oryx.toml").write_text(oryx("config", "reference").stdout)
    assert oryx("config", "check").exit_code == 0


def test_recommend_prints_lines_into_a_pipe() -> None:
    items = [{"id": "i\x1b2", "value": 0.5}, {"id": "i1", "value": 0.25}]
    with scripted(lambda _: Reply(body=items)) as there:
        result = oryx("recommend", "a/b", "-n", "2", "--url", there.url)
    assert (result.exit_code, result.stdout) == (0, "i\\x1b2\t0.5\ni1\t0.25\n")
    assert there.asked[0].path == "/recommend/a%2Fb?howMany=2"


def test_the_service_is_found_through_the_settings(tmp_path: Path) -> None:
    with scripted(lambda _: Reply(body=[])) as there:
        port = there.url.rpartition(":")[2]
        toml = f'[serving]\nhost = "0.0.0.0"\nport = {port}\n[serving.api]\ncontext_path = "/v1/"\n'
        (tmp_path / "oryx.toml").write_text(toml)
        assert oryx("recommend", "ann").exit_code == 0
    assert there.asked[0].path == "/v1/recommend/ann?howMany=10"


def test_an_unknown_user_is_one_line_with_the_services_reason() -> None:
    with scripted(lambda _: Reply(404, {"title": "Not Found", "detail": "unknown user ann"})) as there:
        assert one_line(oryx("recommend", "ann", "--url", there.url), 2) == "oryx: unknown user ann"


def test_ingest_sends_what_can_be_used_lists_what_cannot_and_ends_with_1(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("".join(f"u{n},i{n},1\n" for n in range(25)) + "broken\nx,y,nan\n")
    with scripted(taking()) as there:
        result = oryx("ingest", "a.csv", "--chunk", "10", "--url", there.url)
    assert result.exit_code == 1
    sent = [body.lstrip(b"\n") for body in posted(there)]
    assert [body.count(b"\n") for body in sent] == [10, 10, 5]
    assert b"".join(sent) == b"".join(b"u%d,i%d,1\n" % (n, n) for n in range(25))
    assert "line 26 refused: " in result.stderr
    assert "line 27 refused: strength must be" in result.stderr
    assert result.stdout.startswith("25 interactions stored, 2 refused, ")


def test_ingest_forgets_nobody_unless_that_is_meant(tmp_path: Path) -> None:
    (tmp_path / "joined.csv").write_text("ann,i1,1\nbob,,\n,i2,\nann,i3,\n")
    with scripted(taking()) as there:
        result = oryx("ingest", "joined.csv", "--url", there.url)
        assert (result.exit_code, posted(there)) == (1, [b"ann,i1,1\n\n\nann,i3,\n"])
    assert "line 2 refused: forgets user bob for good: say --forgets if that is meant" in result.stderr
    assert "line 3 refused: forgets item i2 for good" in result.stderr
    with scripted(taking()) as there:
        assert oryx("ingest", "joined.csv", "--forgets", "--url", there.url).exit_code == 0
        assert posted(there) == [b"ann,i1,1\nbob,,\n,i2,\nann,i3,\n"]


def test_ingest_can_go_on_from_a_line_and_reads_standard_input() -> None:
    with scripted(taking()) as there:
        result = oryx("ingest", "-", "--from-line", "3", "--url", there.url, input_="a,b\nc,d\ne,f\n")
    assert result.exit_code == 0
    assert posted(there) == [b"\n\ne,f,1\n"]


def test_an_ingest_that_breaks_off_says_what_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oryx_py.cli.ingest._PATIENCE_S", 1.0)

    with scripted(taking(lambda: Reply(204) if len(posted(there)) < 2 else None)) as there:
        result = oryx("ingest", "-", "--chunk", "2", "--url", there.url, input_="a,b\nc,d\ne,f\n")
    assert result.exit_code == 1
    assert "stored so far: 2, up to line 2" in result.stderr
    assert (
        "lines 3 to 3 may be stored or not; standard input cannot be gone on with, but for --from-line" in result.stderr
    )


def test_a_refused_line_cannot_move_the_cursor() -> None:
    with scripted(taking(lambda: Reply(400, {"detail": "bad \x1b[2J line"}))) as there:
        result = oryx("ingest", "-", "--url", there.url, input_="a,b\n")
    assert "line 1 refused: bad \\x1b[2J line" in result.stderr


@pytest.mark.parametrize(
    ("command", "setting", "remedy"),
    [("generations", "STORE", "oryx batch --once"), ("history", "HISTORY", "oryx history import")],
    ids=["generations", "history"],
)
def test_nothing_yet_says_where_and_what_makes_some(tmp_path: Path, command: str, setting: str, remedy: str) -> None:
    """Where: a place whose name was mistyped is empty, too."""
    result = oryx(command, env={f"ORYX__{setting}__URI": str(tmp_path / "mistyped"), "COLUMNS": "300"})
    assert result.exit_code == 0
    assert remedy in result.stderr
    assert f"in {tmp_path / 'mistyped'} yet" in result.stderr


def test_version_names_the_program() -> None:
    assert oryx("version").stdout.startswith("oryx-py ")


def test_a_reader_that_goes_away_is_no_error() -> None:
    """As in ``oryx config reference | head -1``."""
    program = f"{sys.executable} -m oryx_py.cli config reference | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr
    assert json.loads(done.stdout) in {0, 1}
