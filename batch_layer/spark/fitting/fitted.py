"""What fitting a model comes to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from oryx_py.numerics.objective import Objective

__all__ = ["Fitted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What the manifest says of factors that lie in the staged directory.

    ``objective`` has all its constants, those too that follow from the data. ``epochs`` that were swept. ``metrics``
    each name their protocol. ``seconds`` and ``bytes`` written by step.
    """

    objective: Objective
    epochs: int
    metrics: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    bytes: Mapping[str, int] = field(default_factory=dict)
