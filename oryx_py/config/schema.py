"""Which settings there are, and what each takes; all from the types in `groups`."""

import difflib
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, get_args, get_origin

import msgspec
from msgspec import inspect

from oryx_py.config.groups import Settings
from oryx_py.config.masking import one_line, shown
from oryx_py.errors import ConfigError

__all__ = [
    "KEYS",
    "NAMED_TABLES",
    "OPEN_TABLES",
    "TABLES",
    "Member",
    "checked",
    "member",
    "open_table",
    "takes_text",
    "unknown",
]


def _walk(group: type[msgspec.Struct], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Iterate over the dotted names and types of a group's members, and over theirs."""
    for field in msgspec.structs.fields(group):
        name = prefix + field.encode_name
        yield name, field.type
        if _is_group(field.type):
            yield from _walk(field.type, f"{name}.")


def _is_group(type_: Any) -> bool:
    return isinstance(type_, type) and issubclass(type_, msgspec.Struct)


def _without_unset(type_: Any) -> Any:
    """What a setting takes that may be left out."""
    found = [part for part in get_args(type_) if part is not msgspec.UnsetType]
    return found[0] if msgspec.UnsetType in get_args(type_) else type_


_TYPES = {name: type_ for name, type_ in _walk(Settings) if name != "base"}

OPEN_TABLES = tuple(name for name, type_ in _TYPES.items() if type_ == dict[str, str])
"""Tables whose keys are other programs' own, and their values text."""

NAMED_TABLES = {
    name: {key: _without_unset(type_) for key, type_ in _walk(get_args(type_)[1])}
    for name, type_ in _TYPES.items()
    if get_origin(type_) is dict and name not in OPEN_TABLES
}
"""Tables of groups, each under a name of the user's own choice: the types of what such a group has."""

TABLES = frozenset(name for name, type_ in _TYPES.items() if _is_group(type_)).union(OPEN_TABLES, NAMED_TABLES)
"""Every group, by dotted name."""

KEYS = {name: type_ for name, type_ in _TYPES.items() if name not in TABLES}
"""Every setting's type, by dotted name; what open tables may have is not among them."""


def open_table(key: str) -> str | None:
    """Return the open table that a dotted key is in, None for none."""
    return next((table for table in OPEN_TABLES if key.startswith(f"{table}.")), None)


class Member(NamedTuple):
    """A setting in a group that a user has named, which may have dots in its name."""

    table: str
    group: str
    key: str
    type: Any


def member(key: str) -> Member | None:
    """Return what a dotted key is in a table of named groups, None where it is in none or no such group has it."""
    for table, types in NAMED_TABLES.items():
        group, _, last = key.removeprefix(f"{table}.").rpartition(".")
        if key.startswith(f"{table}.") and group and last in types:
            return Member(table, group, last, types[last])
    return None


def takes_text(key: str) -> bool:
    """Say whether a setting is text, so that `3` in the environment is text too."""
    type_ = _type_of(key)
    return type_ is None or isinstance(_plain_type(type_), (inspect.StrType, inspect.LiteralType))


def _type_of(key: str) -> Any:
    """The type of a setting; None where it is a property of an open table."""
    found = member(key)
    return found.type if found else KEYS.get(key)


def checked(key: str, value: object, origin: str) -> object:
    """Return a setting's value as its type has it.

    Raises:
        ConfigError: it takes something else; one line with origin, key, value (unless secret) and what it takes.
    """
    if open_table(key):
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, (str, int, float)):
            return str(value)
        expected = "text, a number, true or false"
    else:
        try:
            converted: object = msgspec.convert(value, _type_of(key))
            if not isinstance(converted, float) or math.isfinite(converted):
                return converted
        except msgspec.ValidationError:
            pass
        expected = _expected(_type_of(key))
    raise ConfigError(f"{one_line(origin)}: {one_line(key)} = {one_line(shown(key, value))}: must be {expected}")


def unknown(key: str, origin: str, *, written: Callable[[str], str] = str) -> ConfigError:
    """Return the error for a key that there is not; `written` is how the near one is written at the origin."""
    where, what = one_line(origin), one_line(key)
    if key in TABLES:
        return ConfigError(f"{where}: {what} is a group of settings, not a value")
    known = [*KEYS, *TABLES]
    for table, types in NAMED_TABLES.items():
        group, _, _ = key.removeprefix(f"{table}.").rpartition(".")
        if key.startswith(f"{table}.") and not group:
            return ConfigError(f"{where}: {what} is a group of settings: give it {' or '.join(types)}")
        if key.startswith(f"{table}."):
            known += [f"{table}.{group}.{last}" for last in types]
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.7)
    if not near:  # perhaps it stands in another group
        by_last_name = {name.rpartition(".")[2]: name for name in known}
        near = [by_last_name[last] for last in difflib.get_close_matches(key.rpartition(".")[2], by_last_name, n=1)]
    hint = f"did you mean {written(near[0])}?" if near else "`oryx config reference` lists all"
    return ConfigError(f"{where}: there is no setting {what}; {hint}")


def _plain_type(type_: Any) -> inspect.Type:
    info = inspect.type_info(type_)
    return info.type if isinstance(info, inspect.Metadata) else info


_GENEROUS = 1e12
"""From here on a limit is not what a value is chosen by."""


def _expected(type_: Any) -> str:
    info = inspect.type_info(type_)
    if isinstance(info, inspect.Metadata):
        return str((info.extra_json_schema or {})["description"])
    match info:
        case inspect.BoolType():
            return "true or false"
        case inspect.LiteralType(values):
            *others, last = [shown("", value) for value in values]
            return f"{', '.join(others)} or {last}" if others else last
        case inspect.IntType(ge=low, le=high):
            return "a whole number" + _range(low, high)
        case inspect.FloatType(gt=above, ge=low, le=high):
            return "a number" + _range(low, high) if above is None else f"a number above {above:g}{_limit(high)}"
        case inspect.StrType(min_length=least):
            return "text that is not empty" if least else "text"
        case inspect.UnionType():
            return " or ".join(_expected(part) for part in get_args(type_))
    raise NotImplementedError(info)


def _range(low: float | None, high: float | None) -> str:
    if low is not None and high is not None and high < _GENEROUS:
        return f" from {low:.10g} to {high:.10g}"
    return _limit(high) if low is None else f" of {low:.10g} or more{_limit(high)}"


def _limit(high: float | None) -> str:
    return "" if high is None else f", {high:.10g} at most"
