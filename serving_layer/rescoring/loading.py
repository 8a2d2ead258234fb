"""Finding the plug-ins that the settings name."""

from importlib import import_module, metadata
from typing import Any, Final

from oryx_py.errors import ConfigError
from serving_layer.rescoring.plugin_interface import RescorerProvider

__all__ = ["GROUP", "providers_of"]

GROUP: Final = "oryx_py.rescorers"
"""Of entry points."""


def providers_of(setting: str) -> tuple[RescorerProvider, ...]:
    """Make the providers that ``serving.api.rescorer`` names.

    Args:
        setting: names of entry points, or ``package.module:Class``, separated by commas; "" for none.

    Raises:
        ConfigError: one of them is not there, cannot be imported or made, or is no `RescorerProvider`.
    """
    return tuple(_made(name.strip()) for name in setting.split(",") if name.strip())


def _made(name: str) -> RescorerProvider:
    try:
        provider = _found(name)()
    except ConfigError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or "no reason given"
        raise ConfigError(f"serving.api.rescorer = {name!r}: {type(error).__name__}: {reason}") from error
    if not isinstance(provider, RescorerProvider):
        raise ConfigError(f"serving.api.rescorer = {name!r} is no subclass of serving_layer.rescoring.RescorerProvider")
    return provider


def _found(name: str) -> Any:
    module, colon, attribute = name.partition(":")
    if colon:
        return getattr(import_module(module), attribute)
    known = metadata.entry_points(group=GROUP)
    if name not in known.names:
        raise ConfigError(
            f"serving.api.rescorer = {name!r}: there is no such entry point in {GROUP}"
            f" ({', '.join(sorted(known.names)) or 'none at all'}); a class is written package.module:Class"
        )
    return known[name].load()
