"""How kernels are compiled: alike, wherever they are."""

import hashlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numba
from numba.core.dispatcher import Dispatcher
from numba.core.extending import _Intrinsic

_P = ParamSpec("_P")
_R = TypeVar("_R")

# Sums may be reordered, which is what lets them use vector registers; NaN and infinity keep their meaning.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz", "reassoc"}}
# Without numba's runtime no array is counted: in an inner loop that would cost as much as the arithmetic.
_LEAN = {**_OPTIONS, "_nrt": False}
_BAKED_IN = bool, int, float, str


def part(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """A function that kernels compile in, in whatever module they are."""
    return cast("Callable[_P, _R]", numba.njit(**_OPTIONS)(function))


def lean_part(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """A `part` that allocates nothing, as all parts of a `lean` kernel must."""
    return cast("Callable[_P, _R]", numba.njit(**_LEAN)(function))


def lean(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """A kernel that is `compiled` and allocates nothing: its scratch is given to it."""
    return _kept(function, _LEAN)


def compiled(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Compile at the first call; keep the result beside the file or, where that is read-only, in the user's cache.

    Where neither can be written numba refuses to cache, and each process compiles for itself. A directory open to
    others is no fallback, since a cache is code.

    numba looks for changes only in the file of the function that is called, so what comes from other files goes into
    the name under which the result is kept.
    """
    return _kept(function, _OPTIONS)


def _kept(function: Callable[_P, _R], options: dict[str, Any]) -> Callable[_P, _R]:
    from_elsewhere = _from_elsewhere(function)
    if from_elsewhere:
        function.__qualname__ += f"-{from_elsewhere}"
    try:
        found = numba.njit(cache=True, **options)(function)
    except RuntimeError:
        found = numba.njit(**options)(function)
    return cast("Callable[_P, _R]", found)


def _from_elsewhere(function: Callable[..., Any]) -> str:
    """Return a digest of all that is compiled in from other files: their text, and constants; empty for nothing."""
    home = inspect.getfile(function)
    functions, files, constants = [function], set[str](), set[str]()
    for one in functions:  # which grows meanwhile
        names = one.__globals__
        for name in one.__code__.co_names:
            value = names.get(name)
            if isinstance(value, Dispatcher) and value.py_func not in functions:
                functions.append(value.py_func)
            elif isinstance(value, _Intrinsic):
                files.add(inspect.getfile(value._defn))
            elif isinstance(value, _BAKED_IN):
                constants.add(f"{name}={value!r}")
        files.add(inspect.getfile(one))
    if files == {home}:
        return ""
    digest = hashlib.sha256("\n".join(sorted(constants)).encode())
    for file in sorted(files - {home}):
        digest.update(hashlib.sha256(Path(file).read_bytes()).digest())
    return digest.hexdigest()[:16]
