"""What docs/client.md shows runs as it stands there, one snippet after the other."""

import asyncio
import re
from pathlib import Path

import numpy as np
import pytest

import oryx_py.client
from tests.support.serving import FixedModels, Harness, model_at, write_world

PAGE = Path(__file__).parents[3] / "docs" / "client.md"
USERS = ["ann", "bob", "carol"]
ITEMS = ["solaris", "alien", "contact", "moon", "a bad film"]


async def test_the_snippets_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(1)
    vectors = {name: rng.normal(size=3).tolist() for name in [*USERS, *ITEMS]}
    pairs = {user: {item: 1.0} for user, item in zip(USERS, ITEMS, strict=False)}
    world = write_world(
        *(tmp_path / "g", "gen-1", pairs),
        {user: vectors[user] for user in USERS},
        {item: vectors[item] for item in ITEMS},
        covers={0: 100, 1: 100},
    )
    snippets = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(snippets) >= 8
    async with Harness(FixedModels(model_at(world))) as client:
        url = str(client.make_url("/"))
        program = "\n".join(snippets).replace("http://127.0.0.1:8080", url)
        await asyncio.to_thread(exec, compile(program, str(PAGE), "exec"), {"__name__": "snippets"})
    printed = capsys.readouterr().out.splitlines()
    assert any(line.startswith("ann 200 [") for line in printed)
    assert "nobody 404 []" in printed


def test_every_error_has_its_row() -> None:
    errors = {
        name
        for name in oryx_py.client.__all__
        if isinstance(kind := getattr(oryx_py.client, name), type) and issubclass(kind, Exception)
    }
    text = PAGE.read_text(encoding="utf-8")
    assert {name for name in errors - {"Unreadable"} if f"`{name}`" not in text} == set()


def test_every_method_is_shown() -> None:
    methods = {name for name in dir(oryx_py.client.Client) if not name.startswith("_")}
    text = PAGE.read_text(encoding="utf-8")
    assert {name for name in methods if f"oryx.{name}" not in text} == set()
