"""An ingestion that was interrupted goes on where it was, and no line counts twice."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from oryx_py.cli.main import app
from oryx_py.cli.progress_file import ProgressFile, Sent, digest_of
from tests.unit.cli.scripted_service import Asked, Reply, ScriptedService, scripted

LINES = [f"u{n},i{n},1" for n in range(1, 41)]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own, and a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "a.csv").write_text("\n".join(LINES))
    return tmp_path


def oryx(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def taking(after: int = 1000) -> Callable[[Asked], Reply | None]:
    """A ready service that takes so many bulk writes, and refuses all from then on."""
    left = iter(range(after))

    def answer(asked: Asked) -> Reply | None:
        if asked.method == "GET":
            return Reply(body={"ready": True})
        return Reply(204) if next(left, None) is not None else Reply(403, {"detail": "not now"})

    return answer


def taken(there: ScriptedService, first: int = 0) -> dict[str, str]:
    """By their names, the lines of the bulk writes from ``first`` on."""
    return {
        f"{asked.headers['idempotency-key']}:{number}": line.decode()
        for asked in [asked for asked in there.asked if asked.method == "POST"][first:]
        for number, line in enumerate(asked.body.split(b"\n"), 1)
        if line
    }


def ingest(there: ScriptedService, *options: str) -> Result:
    return oryx("ingest", "a.csv", "--chunk", "7", "--url", there.url, *options)


def names() -> dict[str, str]:
    digest = digest_of(Path("a.csv"))
    return {f"{digest}-1:{number}": line for number, line in enumerate(LINES, 1)}


def test_the_same_command_goes_on_after_what_is_stored(here: Path) -> None:
    with scripted(taking(2)) as there:
        result = ingest(there)
        assert result.exit_code == 2
        assert "stored so far: 14, up to line 14; run the same command again: it goes on there" in result.stderr
    with scripted(taking()) as again:
        (where,) = (here / "cache" / "oryx" / "ingest").iterdir()
        where.rename(ProgressFile(where.parent, [digest_of(Path("a.csv")), None, "auto", 1, again.url]).path)
        result = ingest(again)
        assert result.exit_code == 0
        assert "going on after line 14, up to which 14 interactions are stored" in result.stderr
        assert result.stdout.startswith("40 interactions stored")
    assert list(taken(again).values()) == LINES[14:]
    assert taken(there) | taken(again) == names()
    assert list((here / "cache" / "oryx" / "ingest").iterdir()) == []


def test_without_the_file_of_progress_all_is_sent_again_under_the_same_names(here: Path) -> None:
    with scripted(taking(2)) as there:
        ingest(there)
        assert ingest(there, "--restart").exit_code == 2
    with scripted(taking()) as again:
        assert oryx("ingest", "a.csv", "--chunk", "11", "--url", again.url).exit_code == 0
    assert taken(again) == names()
    assert taken(there).items() <= names().items()


def test_other_content_or_another_reading_of_it_is_not_gone_on_with() -> None:
    with scripted(taking(2)) as there:
        ingest(there)
        assert "going on" not in ingest(there, "--timestamps", "s").stderr
        Path("a.csv").write_text("\n".join(["x,y,1", *LINES]))
        assert "going on" not in ingest(there).stderr


def test_refused_lines_are_counted_once_though_it_was_interrupted(here: Path) -> None:
    Path("a.csv").write_text("\n".join([*LINES[:5], "bad", *LINES[5:20], "bad", *LINES[20:]]))
    calls = iter(range(100))

    def answer(asked: Asked) -> Reply | None:
        if asked.method == "GET":
            return Reply(body={"ready": True})
        return Reply(204) if next(calls) != 2 else Reply(403, {"detail": "not now"})

    with scripted(answer) as there:
        assert ingest(there).exit_code == 2
        result = ingest(there)
    assert result.exit_code == 1
    assert result.stdout.startswith("40 interactions stored, 2 refused")
    assert "line 6 refused" not in result.stderr
    assert "line 22 refused" in result.stderr


def test_where_progress_cannot_be_kept_it_is_said_and_the_rest_goes_on(here: Path) -> None:
    (here / "cache").write_text("a file in the way")
    with scripted(taking()) as there:
        result = ingest(there)
    assert result.exit_code == 0
    assert result.stderr.count("cannot be written") == 1


def test_standard_input_is_named_anew_each_time() -> None:
    with scripted(taking()) as there:
        for _ in range(2):
            CliRunner().invoke(app, ["ingest", "-", "--url", there.url], input="a,b\n")
    assert len(taken(there)) == 2


def test_beside_the_brokers_data_progress_is_deleted_with_it(here: Path) -> None:
    (here / "oryx-data").mkdir()
    with scripted(taking(2)) as there:
        host, port = there.url.removeprefix("http://").split(":")
        (here / "oryx.toml").write_text(f'[serving]\nhost = "{host}"\nport = {port}\n')
        oryx("ingest", "a.csv", "--chunk", "7")
    assert len(list((here / "oryx-data" / "ingest").iterdir())) == 1


@pytest.mark.parametrize("content", [b"", b"{", b'{"up_to":"x"}', b"\xff"])
def test_a_damaged_file_of_progress_is_none(tmp_path: Path, content: bytes) -> None:
    progress = ProgressFile(tmp_path, ["x"])
    progress.write(Sent(5, 4, 1))
    assert progress.read() == Sent(5, 4, 1)
    progress.path.write_bytes(content)
    assert progress.read() == Sent()


@pytest.mark.parametrize("after", range(7))
def test_wherever_it_is_interrupted_every_line_is_sent_once_under_its_name(
    after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice interrupted, with blocks of ten lines, a header, and lines that cannot be used around the blocks' ends."""
    monkeypatch.setattr("oryx_py.cli.sending.BLOCK_LINES", 10)
    lines = ["user,item,strength", *LINES]
    for place in (9, 10, 11, 20, 29, 30):
        lines[place - 1] = "bad"
    Path("a.csv").write_text("\n".join(lines))
    left = after
    stored: list[str] = []

    def answer(asked: Asked) -> Reply | None:
        nonlocal left
        if asked.method == "GET":
            return Reply(body={"ready": True})
        left -= 1
        if left < 0:
            return Reply(403, {"detail": "not now"})
        stored.extend(line for line in asked.body.decode().split("\n") if line)
        return Reply(204)

    with scripted(answer) as there:
        for allowed in (after, 1):
            left = allowed
            assert ingest(there).exit_code == 2
        left = 1000
        result = ingest(there)
    assert result.stdout.startswith("34 interactions stored, 6 refused")
    digest = digest_of(Path("a.csv"))
    named = {
        f"{digest}-{(number - 1) // 10 * 10 + 1}:{(number - 1) % 10 + 1}": line
        for number, line in enumerate(lines, 1)
        if line != "bad" and number > 1
    }
    assert taken(there) == named
    assert stored == list(named.values())
