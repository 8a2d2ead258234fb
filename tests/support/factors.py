"""Factor matrices of every kind that makes a search go wrong: ties, zeros, over- and underflow."""

import numpy as np
from hypothesis import strategies as st

KINDS = st.sampled_from(["normal", "integers", "zeros", "duplicates", "tiny", "huge", "mixed"])


def factors_of(kind: str, rng: np.random.Generator, n: int, k: int) -> np.ndarray:
    """Return float32[n, k], finite."""
    Y = rng.normal(size=(n, k))
    match kind:
        case "integers":
            Y = rng.integers(-1, 2, size=(n, k)).astype(float)
        case "zeros":
            Y[rng.random(n) < 0.7] = 0
        case "duplicates":
            Y = Y[rng.integers(0, max(1, n // 20), size=n)]
        case "tiny":
            Y *= 1e-40
        case "huge":
            Y *= 1e37
        case "mixed":
            Y *= 10.0 ** rng.integers(-44, 38, size=(n, 1))
    with np.errstate(over="ignore"):
        return np.nan_to_num(Y.astype(np.float32), posinf=3e38, neginf=-3e38)
