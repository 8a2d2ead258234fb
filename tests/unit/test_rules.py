"""The table of `tests/README.md`: every rule has tests that are there, and mutations that are there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.simulation.mutations import MUTATIONS

TESTS = Path(__file__).parents[1]
ROW = re.compile(r"^\| (\d+) [^|]*\| ([^|]*)\| ([^|]*)\|$", re.MULTILINE)
ROWS = {int(rule): (tests, taken) for rule, tests, taken in ROW.findall((TESTS / "README.md").read_text("utf-8"))}
NOT_BUILT = {19}
QUOTED = re.compile(r"`([^`]+)`")


@cache
def functions_of(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_every_rule_has_a_row() -> None:
    assert sorted(ROWS) == list(range(1, 20))
    assert {rule for rule, (tests, _) in ROWS.items() if tests.startswith("not built")} == NOT_BUILT


@pytest.mark.parametrize("rule", sorted(ROWS.keys() - NOT_BUILT))
def test_the_tests_that_a_rule_names_are_there(rule: int) -> None:
    named = QUOTED.findall(ROWS[rule][0])
    assert named
    for name in named:
        path, _, function = name.partition("::")
        assert function in functions_of(TESTS / path), name


def test_the_mutations_that_the_table_names_take_those_rules_away_and_it_names_all() -> None:
    named = {(name, str(rule)) for rule, (_, taken) in ROWS.items() for name in QUOTED.findall(taken)}
    assert named == {(mutation.name, mutation.rule) for mutation in MUTATIONS}
