"""Whatever stands in the settings file or the environment is read or refused in one line."""

import tempfile
from contextlib import suppress
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from oryx_py.config import load, rows
from oryx_py.config.schema import KEYS, TABLES
from oryx_py.errors import ConfigError

names = st.sampled_from([*KEYS, *TABLES, "kafka.client.x", "batch.spark.a.B", "modl.features", "a", '"a.b".c'])
literals = st.one_of(
    st.integers().map(str),
    st.floats().map(repr),
    st.booleans().map(lambda flag: str(flag).lower()),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="'"), max_size=8).map(
        "'{}'".format
    ),
    st.sampled_from(
        ["[]", "[1]", "{}", "{ a = 1 }", "{ a.b = 'c' }", "2026-01-01", "1e400", '"\\u0000"', "'local'", "'json'"]
    ),
    st.text(max_size=8),
)
files = st.lists(st.tuples(names, literals), max_size=4).map(
    lambda pairs: "\n".join(f"{name} = {literal}" for name, literal in pairs)
)
variables = st.dictionaries(
    names.map(lambda name: "ORYX__" + name.upper().replace(".", "__")), literals | st.text(max_size=8), max_size=3
)


def read_or_refuse(content: bytes, environ: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "oryx.toml")
        file.write_bytes(content)
        try:
            loaded = load(file, environ)
        except ConfigError as error:
            assert len(str(error).splitlines()) == 1  # noqa: PT017 - both outcomes are part of the claim
        else:
            assert {row.key for row in rows(loaded)} >= KEYS.keys()
            assert loaded.origins.keys() <= {row.key for row in rows(loaded)}


@settings(deadline=None, max_examples=300)
@given(files | st.text(max_size=60), variables)
def test_any_settings_are_read_or_refused_in_one_line(text: str, environ: dict[str, str]) -> None:
    with suppress(UnicodeEncodeError):
        read_or_refuse(text.encode(), environ)


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_in_one_line(content: bytes) -> None:
    read_or_refuse(content, {})
