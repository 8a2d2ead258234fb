"""The commands that ask the service: what they send, what they print, how they end."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from oryx_py.cli.asking import given_items, show_scored
from oryx_py.cli.main import app
from oryx_py.cli.screen import Screen
from oryx_py.client import Scored
from oryx_py.errors import UserError
from tests.unit.cli.scripted_service import Asked, Reply, ScriptedService, scripted

ITEMS = [{"id": "i\x1b2", "value": 0.5}, {"id": "i1", "value": -0.25}]
LINES = "i\\x1b2\t0.5\ni1\t-0.25\n"


def script(asked: Asked) -> Reply:
    if asked.method != "GET":
        return Reply(204, headers={"X-Oryx-Offset": "1:7"})
    return Reply(body=[0.5, 0.0] if asked.path.startswith("/estimate") else ITEMS)


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedService]:
    monkeypatch.chdir(tmp_path)
    with scripted(script) as there:
        yield there


def oryx(there: ScriptedService, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments], env={"ORYX__SERVING__PORT": there.url.rpartition(":")[2]})


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ("recommend a/b -n 2", "/recommend/a%2Fb?howMany=2"),
        (
            "recommend ann --offset 5 --consider-known-items",
            "/recommend/ann?howMany=10&offset=5&considerKnownItems=true",
        ),
        ("recommend --item x=2.5 -i y", "/recommendToAnonymous/x=2.5/y?howMany=10"),
        ("recommend ann --item a=b=1 --item c=d", "/recommendWithContext/ann/a%3Db=1/c%3Dd?howMany=10"),
        ("similar x=2.5 y", "/similarity/x%3D2.5/y?howMany=10"),
        ("because ann i1 -n 3", "/because/ann/i1?howMany=3"),
    ],
)
def test_ranked_lists_are_asked_for_and_printed_as_lines(there: ScriptedService, arguments: str, path: str) -> None:
    result = oryx(there, *arguments.split())
    assert (result.exit_code, result.stdout) == (0, LINES)
    assert there.asked[0].path == path
    assert json.loads(oryx(there, *arguments.split(), "--json").stdout) == ITEMS


def test_estimates_stand_beside_their_items_in_order(there: ScriptedService) -> None:
    result = oryx(there, "estimate", "ann", "b\u202e", "a=1")
    assert (result.exit_code, result.stdout) == (0, "b\\u202e\t0.5\na=1\t0.0\n")
    assert there.asked[0].path == "/estimate/ann/b%E2%80%AE/a%3D1"


@pytest.mark.parametrize(
    ("arguments", "method", "body"),
    [
        ("pref ann a/b", "POST", b"1"),
        ("pref ann a/b 2.5", "POST", b"2.5"),
        ("pref ann a/b -1", "POST", b"-1"),
        ("pref ann a/b -.5", "POST", b"-0.5"),
        ("pref ann a/b --delete", "DELETE", b""),
    ],
)
def test_a_preference_is_stored_and_its_place_printed(
    there: ScriptedService, arguments: str, method: str, body: bytes
) -> None:
    result = oryx(there, *arguments.split())
    assert (result.exit_code, result.stdout) == (0, "1:7\n")
    (asked,) = there.asked
    assert (asked.method, asked.path, asked.body) == (method, "/pref/ann/a%2Fb", body)
    assert asked.headers["idempotency-key"]


def test_a_preference_may_be_waited_for() -> None:
    def known(asked: Asked) -> Reply:
        return Reply(204, headers={"X-Oryx-Offset": "1:7"}) if asked.method == "POST" else Reply(body=["i"])

    with scripted(known) as there:
        result = CliRunner().invoke(app, ["pref", "ann", "i", "--wait", "--url", there.url])
    assert (result.exit_code, result.stdout) == (0, "1:7\n")
    assert [asked.path for asked in there.asked] == ["/pref/ann/i", "/knownItems/ann?after=1%3A7"]
    assert "in recommendations after" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        *("recommend", "recommend --item =2", "recommend --consider-known-items --item a", "similar", "because ann"),
        *(
            "estimate ann",
            "pref ann",
            "pref ann i much",
            "pref ann i --delte",
            "pref ann i 2 --delete",
            "pref ann i nan",
        ),
        *("recommend ann -n 0", "recommend ann --offset -1", "recommend ann --item a=inf"),
    ],
)
def test_a_wrong_argument_ends_with_2_and_nothing_is_sent(there: ScriptedService, arguments: str) -> None:
    assert oryx(there, *arguments.split()).exit_code == 2
    assert there.asked == []


def test_an_empty_id_is_refused_in_one_line(there: ScriptedService) -> None:
    result = oryx(there, "recommend", "")
    assert (result.exit_code, result.stderr) == (2, "oryx: user is empty\n")


@pytest.mark.parametrize(
    ("reply", "code", "line"),
    [
        (Reply(404, {"detail": "user 'ann' is unknown"}), 2, "oryx: user 'ann' is unknown"),
        (Reply(503, {"detail": "no model yet"}), 2, "oryx: the service is not ready: no model yet"),
        (Reply(504, {"detail": "not yet"}), 1, "oryx: not yet"),
        (Reply(500, {"detail": "broken"}), 1, "oryx: the service answered 500: broken"),
        (Reply(body={"hello": 1}), 1, "oryx: the service's answer cannot be read"),
        (None, 1, "did not answer a GET"),
    ],
)
def test_a_refusal_is_one_line_and_an_exit_code(reply: Reply | None, code: int, line: str) -> None:
    with scripted(lambda _: reply) as there:
        result = CliRunner().invoke(app, ["because", "ann", "i", "--url", there.url])
    assert result.exit_code == code
    assert line in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


def test_nothing_known_is_said_and_is_no_error() -> None:
    with scripted(lambda _: Reply(body=[])) as there:
        result = CliRunner().invoke(app, ["because", "ann", "i", "--url", there.url])
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "ann knows no items\n")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_a_list_is_a_table_with_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    screen = Screen(Terminal(), Terminal())
    show_scored(screen, [Scored("i\x1b2", 0.5), Scored("i1", -0.25)], "score", first=11, as_json=False)
    lines = [line.split() for line in screen.out.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert lines == [["item", "score"], ["11", "i\\x1b2", "0.5000"], ["12", "i1", "-0.2500"]]


def test_items_have_the_strength_after_the_last_equals_sign_if_it_is_a_number() -> None:
    assert given_items(["a", "a=b", "a="]) == ["a", "a=b", "a="]
    assert given_items(["a=2", "a=b=-1e3", "ü/=.5"]) == [("a", 2.0), ("a=b", -1000.0), ("ü/", 0.5)]
    with pytest.raises(UserError, match="no item before"):
        given_items(["=2"])
