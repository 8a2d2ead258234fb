"""Settings: one TOML file and the environment, validated into frozen groups."""

from oryx_py.config.groups import (
    Api,
    Batch,
    Connections,
    Input,
    Kafka,
    Kind,
    Local,
    Log,
    Model,
    Serving,
    Settings,
    Speed,
)
from oryx_py.config.loading import DEFAULT_FILE, Loaded, load
from oryx_py.config.render import Row, check, reference, rows

__all__ = [
    "DEFAULT_FILE",
    "Api",
    "Batch",
    "Connections",
    "Input",
    "Kafka",
    "Kind",
    "Loaded",
    "Local",
    "Log",
    "Model",
    "Row",
    "Serving",
    "Settings",
    "Speed",
    "check",
    "load",
    "reference",
    "rows",
]
