"""Where settings are written: the file, and variables of the environment. Every value with its key and origin."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from oryx_py.config.masking import one_line
from oryx_py.config.schema import KEYS, NAMED_TABLES, OPEN_TABLES, TABLES, member, open_table, takes_text, unknown
from oryx_py.errors import ConfigError

__all__ = ["PREFIX", "Entry", "entries_of_environment", "entries_of_file", "unread_variables"]

PREFIX = "ORYX__"


class Entry(NamedTuple):
    """One value as it was written: its dotted key, and `file:line` or the variable's name."""

    key: str
    value: object
    origin: str


def entries_of_file(path: Path) -> list[Entry]:
    """Read the settings file.

    Raises:
        ConfigError: there is none, it is no TOML, or it has a key that there is not.
    """
    try:
        text = path.read_text("utf-8-sig")
        tables = tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError(f"there is no settings file {path}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read: {one_line(str(error))}") from error
    lines = _lines(text)

    def origin(key: str) -> str:
        while key and key not in lines:  # of an inline table the line where it begins
            key = key.rpartition(".")[0]
        return f"{path}:{lines[key]}" if key else str(path)

    entries: list[Entry] = []
    for names, value in _leaves(tables):
        key = ".".join(names)
        # "model.features" in quotes is one name, not a setting of the group model; properties do have dots.
        written = key in KEYS and not any("." in name for name in names)
        if not (written or open_table(key) or member(key)):
            raise unknown(key, origin(key))
        entries.append(Entry(key, value, origin(key)))
    return entries


def entries_of_environment(environ: Mapping[str, str]) -> list[Entry]:
    """Read the variables that begin with `ORYX__`: values as TOML has them, else as text; text needs no quotes.

    Names of variables have no dots and no small letters: `ORYX__KAFKA__CLIENT__SASL_MECHANISM` is `sasl.mechanism`,
    and what cannot be written so goes into `ORYX__BATCH__SPARK`, all in one: `{ "spark.driver.maxResultSize" = "2g" }`.

    Raises:
        ConfigError: there is no such setting, or a variable with two underscores is a setting's, written otherwise.
    """
    for variable, meant in _nearly(environ):
        if "__" in variable:
            raise ConfigError(f"{one_line(variable)}: there is no setting of this name; did you mean {meant}?")
    entries: list[Entry] = []
    for variable in sorted(name for name in environ if name.startswith(PREFIX)):
        key = variable.removeprefix(PREFIX).lower().replace("__", ".")
        table = open_table(key)
        if table:
            key = table + key.removeprefix(table).replace("_", ".")
        value = _value(environ[variable])
        if key in (*OPEN_TABLES, *NAMED_TABLES) and isinstance(value, dict):
            above = tuple(key.split("."))
            entries += [_known(".".join(names), inner, variable) for names, inner in _leaves(value, above)]
        elif key in KEYS or table or member(key):
            text = takes_text(key) and not isinstance(value, str)
            entries.append(Entry(key, environ[variable] if text else value, variable))
        else:
            raise unknown(key, variable, written=_variable)
    return entries


def unread_variables(environ: Mapping[str, str]) -> Iterator[str]:
    """Iterate over a line for each variable that may be meant for a setting, and is none's.

    `ORYX_SERVING_PORT` may also be what Kubernetes sets for a service that is called `oryx-serving`, so it is no error.
    """
    for variable, meant in _nearly(environ):
        if "__" not in variable:
            yield f"{one_line(variable)} is not read: the setting's variable is {meant}"


def _nearly(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The variables that are a setting's but for underscores and the size of letters, and how it is written."""
    settings = {_plain(_variable(key)): _variable(key) for key in KEYS}
    for variable in sorted(name for name in environ if not name.startswith(PREFIX)):
        plain = _plain(variable)
        for table in OPEN_TABLES:
            above = _plain(_variable(table)) + "_"
            if plain.startswith(above):
                settings[plain] = f"{_variable(table)}__{plain.removeprefix(above)}"
        if plain in settings:
            yield variable, settings[plain]


def _plain(variable: str) -> str:
    return re.sub("_+", "_", variable.upper())


def _known(key: str, value: object, variable: str) -> Entry:
    if not (open_table(key) or member(key)):
        raise unknown(key, variable)
    return Entry(key, value, variable)


def _variable(key: str) -> str:
    return PREFIX + key.upper().replace(".", "__")


def _value(text: str) -> object:
    try:
        document = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return document["value"] if len(document) == 1 else text


def _leaves(table: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Iterate over what is no group; `security.protocol = …` without quotes is a table too, of one property."""
    for name, value in table.items():
        names = (*above, name)
        key = ".".join(names)
        if isinstance(value, Mapping) and key not in KEYS and (value or key in TABLES or open_table(key)):
            yield from _leaves(value, names)
        else:
            yield names, value


_PART = r"""(?:"[^"\n]*"|'[^'\n]*'|[A-Za-z0-9_-]+)"""
_NAME = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_HEADER = re.compile(rf"[ \t]*\[[ \t]*({_NAME})[ \t]*\]")
_ENTRY = re.compile(rf"[ \t]*({_NAME})[ \t]*=")


def _lines(text: str) -> dict[str, int]:
    """Return by dotted key the line where it stands; good enough for messages, since tomllib does not tell."""
    lines: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.split("\n"), 1):
        if header := _HEADER.match(line):
            table = _unquoted(header[1])
            lines.setdefault(table, number)
        elif entry := _ENTRY.match(line):
            lines.setdefault(f"{table}.{_unquoted(entry[1])}" if table else _unquoted(entry[1]), number)
    return lines


def _unquoted(name: str) -> str:
    return ".".join(part.strip("\"'") for part in re.findall(_PART, name))
