"""Vector instructions against NumPy in float64."""

import numba
import numpy as np
import pytest

from oryx_py.numerics import compiling, kernel
from oryx_py.numerics.lanes import LANES, ROWS, add_rows, dots


@numba.njit
def four_dots(Y, first, p):  # type: ignore[no-untyped-def]  # numba's types
    return dots(Y, first, p)


@numba.njit
def four_added(Y, first, a, v):  # type: ignore[no-untyped-def]  # numba's types
    add_rows(Y, first, (a[0], a[1], a[2], a[3]), v)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("columns", [LANES, 4 * LANES, 13 * LANES])
@pytest.mark.parametrize("first", [0, 3, 8])
def test_four_rows_at_a_time(dtype: type, columns: int, first: int) -> None:
    rng = np.random.default_rng([columns, first])
    Y = rng.normal(size=(first + ROWS, columns)).astype(np.float32)
    p, v, a = [rng.normal(size=n).astype(dtype) for n in (columns, columns, ROWS)]
    rows = Y[first : first + ROWS].astype(np.float64)
    exact = rows @ p.astype(np.float64)
    # Sums of 208 products in float32 and in float64.
    tolerance = 1e-5 if dtype is np.float32 else 1e-13
    np.testing.assert_allclose(four_dots(Y, first, p), exact, atol=tolerance * np.sqrt(columns))
    expected = v.astype(np.float64) + a.astype(np.float64) @ rows
    four_added(Y, first, a, v)
    np.testing.assert_allclose(v, expected, atol=tolerance)


def test_a_change_of_the_instructions_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    solve_rows = kernel.solve_rows.py_func  # type: ignore[attr-defined]  # numba's dispatcher
    seen: list[str] = []
    getfile = compiling.inspect.getfile  # type: ignore[attr-defined]  # the module that it imports

    def noted(thing: object) -> str:
        seen.append(getattr(thing, "__name__", ""))
        return str(getfile(thing))

    monkeypatch.setattr(compiling.inspect, "getfile", noted)  # type: ignore[attr-defined]
    compiling._from_elsewhere(solve_rows)
    assert {"_emit_dots", "_emit_add_rows"} <= set(seen)
