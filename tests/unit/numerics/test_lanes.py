"""Vector instructions against NumPy in float64."""

import numba
import numpy as np
import pytest

from oryx_py.numerics.compiled import compiling
from oryx_py.numerics.compiled.lanes import LANES, ROWS, add_products, add_residuals, add_rows
from oryx_py.numerics.fold_in import kernel


@numba.njit
def with_products(Y, first, w, p, v):  # type: ignore[no-untyped-def]  # numba's types
    add_products(Y, first, w, p, v)


@numba.njit
def with_residuals(Y, first, w, t, p, v):  # type: ignore[no-untyped-def]  # numba's types
    add_residuals(Y, first, w, t, p, v)


@numba.njit
def with_rows(Y, first, a, v):  # type: ignore[no-untyped-def]  # numba's types
    add_rows(Y, first, a, v)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("columns", [LANES, 3 * LANES, 4 * LANES, 9 * LANES, 13 * LANES])
@pytest.mark.parametrize("first", [0, 3, 8])
def test_rows_at_a_time(dtype: type, columns: int, first: int) -> None:
    rng = np.random.default_rng([columns, first])
    Y = rng.normal(size=(first + ROWS + 1, columns)).astype(np.float32)
    p, v = rng.normal(size=(2, columns)).astype(dtype)
    w, t = rng.normal(size=(2, len(Y))).astype(dtype)
    some = slice(first, first + ROWS)
    rows, dots = Y[some].astype(np.float64), Y[some].astype(np.float64) @ p.astype(np.float64)
    # Sums of 208 products in float32 and in float64.
    close = {"rtol": 0, "atol": (1e-4 if dtype is np.float32 else 1e-12)}

    found = v.copy()
    with_products(Y, first, w, p, found)
    np.testing.assert_allclose(found, v + (w[some] * dots) @ rows, **close)
    found = v.copy()
    with_residuals(Y, first, w, t, p, found)
    np.testing.assert_allclose(found, v + (t[some] - w[some] * dots) @ rows, **close)
    found = v.copy()
    with_rows(Y, first, w, found)
    np.testing.assert_allclose(found, v + w[some] @ rows, **close)


def test_rows_in_float32_are_added_to_a_sum_in_float64() -> None:
    rng = np.random.default_rng(7)
    Y, a = rng.normal(size=(ROWS, LANES)).astype(np.float32), rng.normal(size=ROWS).astype(np.float32)
    v = np.full(LANES, 1e9)
    with_rows(Y, 0, a, v)
    np.testing.assert_allclose(v - 1e9, a.astype(np.float64) @ Y, rtol=0, atol=1e-6)


def test_a_change_of_the_instructions_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    solve_rows = kernel.solve_rows.py_func  # type: ignore[attr-defined]  # numba's dispatcher
    seen: list[str] = []
    getfile = compiling.inspect.getfile  # type: ignore[attr-defined]  # the module that it imports

    def noted(thing: object) -> str:
        seen.append(getattr(thing, "__name__", ""))
        return str(getfile(thing))

    monkeypatch.setattr(compiling.inspect, "getfile", noted)  # type: ignore[attr-defined]
    compiling._from_elsewhere(solve_rows)
    assert {"_emit_add_products", "_emit_add_residuals", "_emit_add_rows"} <= set(seen)
