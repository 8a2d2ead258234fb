"""How kernels are compiled: alike, wherever they are."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numba

_P = ParamSpec("_P")
_R = TypeVar("_R")

# Sums may be reordered, which is what lets them use vector registers; NaN and infinity keep their meaning.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz", "reassoc"}}


def part(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """A function that a kernel compiles in.

    It belongs into the kernel's own module: numba's cache looks for changes only in the file of what is called.
    """
    return cast("Callable[_P, _R]", numba.njit(**_OPTIONS)(function))


def compiled(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Compile at the first call; keep the result beside the file or, where that is read-only, in the user's cache.

    Where neither can be written numba refuses to cache, and each process compiles for itself. A directory open to
    others is no fallback, since a cache is code.
    """
    try:
        found = numba.njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:
        found = numba.njit(**_OPTIONS)(function)
    return cast("Callable[_P, _R]", found)
