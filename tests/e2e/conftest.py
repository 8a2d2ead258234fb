"""One running system for the tests of a module."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.system import System

NewSystem = Callable[..., System]


@pytest.fixture(scope="module")
def new_system(kafka_broker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewSystem]:
    """Make systems on the worker's broker; all their processes end with the module."""
    systems: list[System] = []

    def new(**settings: object) -> System:
        system = System(Path(tmp_path_factory.mktemp("system")), kafka_broker.bootstrap_servers, **settings)
        systems.append(system)
        system.oryx("setup")
        return system

    yield new
    for system in systems:
        system.__exit__(None, None, None)
