"""No index: items are scanned exactly."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["ExactIndex"]


class ExactIndex:
    """The `IndexBuilder` that builds none."""

    def build(self, item_factors: NDArray[np.float32], into: Path) -> str | None:  # noqa: ARG002
        """Write nothing; None."""
        return None
