"""Reading the settings: the file first, the environment above it, every value with its origin."""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from oryx_py.config.groups import Settings, plain
from oryx_py.errors import ConfigError

__all__ = ["DEFAULT_FILE", "PREFIX", "Loaded", "load"]

DEFAULT_FILE = "oryx.toml"
PREFIX = "ORYX__"
OPEN_TABLES = frozenset({"kafka.client", "batch.spark"})
"""Tables whose keys are other programs' own."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and by dotted key where each value that is no default came from."""

    settings: Settings
    origins: Mapping[str, str]

    def origin(self, key: str) -> str:
        """Return where a key's value came from: ``default``, the file, or the environment variable."""
        return self.origins.get(key, "default")


def load(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Loaded:
    """Read the settings.

    Args:
        path: the file; None for ``oryx.toml`` of the present folder, where there is one.
        environ: the environment; None for the process's own.

    Raises:
        ConfigError: a key is unknown, or a value is not what the key takes; one line, naming both and the origin.
    """
    environ = os.environ if environ is None else environ
    if path is None and Path(DEFAULT_FILE).exists():
        path = Path(DEFAULT_FILE)
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    known = dict(_flat(plain(Settings())))
    tables = {".".join(key.split(".")[:depth]) for key in known for depth in range(1, key.count(".") + 1)} | OPEN_TABLES
    if path is not None:
        for key, value in _flat(_read(path), stop=OPEN_TABLES):
            _check_key(key, known, tables, str(path))
            values[key], origins[key] = value, str(path)
    for variable in sorted(name for name in environ if name.startswith(PREFIX)):
        key = ".".join(variable.removeprefix(PREFIX).lower().split("__"))
        for table in OPEN_TABLES:
            if key.startswith(f"{table}."):
                # The environment has no dots in its names: ORYX__KAFKA__CLIENT__SASL_MECHANISM is sasl.mechanism.
                key = f"{table}.{key.removeprefix(f'{table}.').replace('_', '.')}"
        _check_key(key, known, tables, variable)
        values[key], origins[key] = _value(environ[variable], known.get(key, "")), variable
    return Loaded(_settings(values, origins, path), origins)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"there is no settings file {path}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None


def _flat(table: Mapping[str, Any], prefix: str = "", stop: frozenset[str] = frozenset()) -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and key in stop:
            yield from ((f"{key}.{inner}", innermost) for inner, innermost in value.items())
        elif isinstance(value, Mapping) and value:
            yield from _flat(value, f"{key}.", stop)
        elif not isinstance(value, Mapping):
            yield key, value


def _check_key(key: str, known: Mapping[str, Any], tables: set[str], origin: str) -> None:
    if key in known or any(key.startswith(f"{table}.") for table in OPEN_TABLES):
        return
    if key in tables:
        raise ConfigError(f"{origin}: {key} is a group of settings, not a value")
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    if not near:
        near = difflib.get_close_matches(key.rpartition(".")[2], [name.rpartition(".")[2] for name in known], n=1)
    hint = f"did you mean {near[0]}?" if near else "`oryx config reference` lists all"
    raise ConfigError(f"{origin}: there is no setting {key}; {hint}")


def _value(text: str, default: object) -> object:
    """Read a variable's text as TOML has it, where the key does not take text."""
    if isinstance(default, str):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _settings(values: Mapping[str, Any], origins: Mapping[str, str], path: Path | None) -> Settings:
    nested: dict[str, Any] = {"base": str(path.parent) if path is not None else ""}
    for key, value in values.items():
        *tables, name = _split(key)
        table = nested
        for part in tables:
            table = table.setdefault(part, {})
        table[name] = str(value) if ".".join(tables) in OPEN_TABLES else value
    try:
        return msgspec.convert(nested, Settings)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at `$.")
        key = place.rstrip("`")
        raise ConfigError(
            f"{origins.get(key, 'settings')}: {key} = {values.get(key)!r}: {problem[:1].lower()}{problem[1:]}"
        ) from None


def _split(key: str) -> list[str]:
    for table in OPEN_TABLES:
        if key.startswith(f"{table}."):
            return [*table.split("."), key.removeprefix(f"{table}.")]
    return key.split(".")
