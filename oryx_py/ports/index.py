"""How a generation gets its index."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["IndexBuilder"]


class IndexBuilder(Protocol):
    """Chooses and builds the index over a generation's items."""

    def build(self, item_factors: NDArray[np.float32], into: Path) -> str | None:
        """Write an index of ``item_factors``, float32[items, features], into the staged directory of a generation.

        Returns the name of its set of files, as it stands in the manifest's ``index``; None means an exact scan.
        """
