"""What README.md and docs/ name is there: links, settings, commands, metrics, programs, packages."""

import re
import shlex
from collections.abc import Iterator, Sequence
from configparser import ConfigParser
from functools import cache
from pathlib import Path

import click
import pytest
import typer

from oryx_py.cli.main import app
from oryx_py.config import load
from oryx_py.config.schema import KEYS, TABLES, member, open_table

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "tests/README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PACKAGES = ("oryx_py", "batch_layer", "speed_layer", "serving_layer")
NO_SETTINGS = {"batch.lock", "items.npy", "items.gram.npy"}
"""Names of files that could be settings by their first part."""

of_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


@cache
def anchors(page: Path) -> frozenset[str]:
    titles = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles)


def blocks(page: Path, language: str = r"\w*") -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def code(page: Path) -> Iterator[str]:
    """Lines of blocks, with those that go on, and what stands in backticks."""
    text = page.read_text("utf-8")
    for block in blocks(page):
        yield from re.sub(r"\\\n\s*", " ", block).splitlines()
    text = re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"^    +(\S.*)$", text, re.MULTILINE)
    for span in re.findall(r"`([^`]+)`", text):
        yield " ".join(span.split())


@of_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


@of_page
def test_settings_are_there(page: Path) -> None:
    for text in code(page):
        name = re.split(r"[ =\[]", text)[0]
        if re.fullmatch(r"[a-z_]+(\.[a-z_0-9]+)+", name) and name.split(".")[0] in TABLES and name not in NO_SETTINGS:
            assert name in KEYS or name in TABLES or open_table(name) or member(name), text
        for variable in re.findall(r"\bORYX__[A-Z0-9_]+", text):
            key = variable.removeprefix("ORYX__").lower().replace("__", ".")
            assert key in KEYS or open_table(key) or member(key) or key == "group.key", text


@of_page
def test_examples_of_settings_are_settings(page: Path, tmp_path: Path) -> None:
    for number, block in enumerate(blocks(page, "toml")):
        path = tmp_path / f"{number}.toml"
        path.write_text(block, "utf-8")
        load(path, {})


@cache
def top() -> click.Command:
    return typer.main.get_command(app)


def unknown_of(words: Sequence[str]) -> str | None:
    """What of a command line after `oryx` there is not."""
    command = top()
    waiting = [word for word in words if word not in {"…", "..."}]
    while waiting:
        word = waiting.pop(0)
        commands = getattr(command, "commands", {})
        if word.startswith("-") and not re.fullmatch(r"-|-?[0-9.]+", word):
            name = word.partition("=")[0]
            found = [each for each in command.params if name in (*each.opts, *each.secondary_opts)]
            if not found and name not in {"--help", "-h"}:
                return name
            if found and not getattr(found[0], "is_flag", False) and "=" not in word:
                waiting = waiting[1:]
        elif commands and "FILE" not in word:
            if word not in commands:
                return word
            command = commands[word]
    return None


def command_lines(text: str) -> Iterator[list[str]]:
    """What stands behind `oryx` where it is the program: at the beginning, or after what may be before a program."""
    text = re.split(r"\s#\s|\s{3,}", text)[0]
    for found in re.finditer(r"(?:^|[$;&|(] ?|\b[A-Z_]+=\S+ )oryx ((?!=)[^|;&>`]+)", text):
        try:
            yield shlex.split(found[1])
        except ValueError:  # an apostrophe of prose
            yield found[1].split()


@of_page
def test_commands_and_their_options_are_there(page: Path) -> None:
    for text in code(page):
        for words in command_lines(text):
            assert unknown_of(words) is None, text


def test_commands_in_messages_and_help_are_there() -> None:
    seen = 0
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for text in re.findall(r"`(oryx [^`{}\n]+)`", path.read_text("utf-8")):
                for words in command_lines(text):
                    seen += 1
                    assert unknown_of(words) is None, f"{path}: {text}"
    assert seen > 20


def test_a_command_that_there_is_not_would_be_seen() -> None:
    assert unknown_of(["batch", "--onec"]) == "--onec"
    assert unknown_of(["bach"]) == "bach"
    assert unknown_of(["history", "exprot"]) == "exprot"
    assert list(command_lines("ORYX__SERVING__PORT=1 oryx up  # here")) == [["up"]]


@cache
def exported() -> frozenset[str]:
    names = set()
    for package in PACKAGES[1:]:
        for path in (ROOT / package).rglob("*.py"):
            names.update(re.findall(r'"(oryx_[a-z_]+)"', path.read_text("utf-8")))
    return frozenset(names)


@of_page
def test_metrics_are_exported(page: Path) -> None:
    for name in re.findall(r"\boryx_(?:batch|speed|serving)_[a-z_]+", page.read_text("utf-8")):
        assert {name, re.sub("_(total|bucket|count|sum)$", "", name)} & exported(), name


@of_page
def test_programs_of_the_tests_are_there(page: Path) -> None:
    for name in re.findall(r"python\s+-m\s+(tests[\w.]+)", page.read_text("utf-8")):
        path = ROOT.joinpath(*name.rstrip(".").split("."))
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), name


def test_every_page_can_be_found_from_the_readme() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    pages = {page.relative_to(ROOT).as_posix() for page in (ROOT / "docs").glob("*.md")}
    assert {page for page in pages if f"({page})" not in text} == set()


def test_every_package_stands_in_the_table_of_parts() -> None:
    settings = ConfigParser()
    settings.read(ROOT / "setup.cfg", "utf-8")
    layers = re.findall(r"[\w.]+", settings["importlinter:contract:down"]["layers"])
    table = (ROOT / "docs/architecture.md").read_text("utf-8").partition("## The parts")[2].partition("\n## ")[0]
    names = {name if not name.startswith(".") else f"oryx_py{name}" for name in re.findall(r"`([\w.]+)`", table)}
    assert {layer for layer in layers if layer not in names} == set()
