"""Vector instructions that the compiler does not find by itself: some rows of a matrix at a time.

Numba compiles a loop over one row of 64 numbers into more preparation than multiplication. These steps are written in
LLVM's own vectors instead, which it turns into the registers of whatever machine it is on. Rows are `LANES` long, or a
multiple of that: who has fewer columns fills them up with zeros.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeAlias, cast

from llvmlite import ir
from numba.core import cgutils as untyped_cgutils
from numba.core import types as untyped_types
from numba.extending import intrinsic

from oryx_py.numerics.arrays import DoubleVector, FloatMatrix, FloatVector

__all__ = ["LANES", "ROWS", "add_products", "add_residuals", "add_rows", "add_squares", "compare"]

cgutils: Any = untyped_cgutils
types: Any = untyped_types

Vector: TypeAlias = DoubleVector | FloatVector

LANES = 16
"""Numbers that are multiplied at once; a row is a multiple of them."""
ROWS = 8
"""Rows that are worked on at once, and share the loads of what they are multiplied with."""

_AT_ONCE = 4
"""So many times 16 numbers are worked on without a loop between them."""

_FAST = "contract", "nsz", "reassoc"


def _emit_add_products(_typing: Any, Y: Any, _first: Any, w: Any, p: Any, v: Any) -> Any:

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        matrix = _Matrix(context, builder, signature, args, 0, 1)
        weights, p, v = (_Vector(context, builder, signature, args, at) for at in (2, 3, 4))
        products = builder.fmul(weights.each(args[1]), _dots(builder, matrix, p), flags=_FAST)
        _add(builder, matrix, products, v)
        return context.get_dummy_value()

    return types.void(Y, types.intp, w, p, v), code


def _emit_add_residuals(_typing: Any, Y: Any, _first: Any, w: Any, t: Any, p: Any, v: Any) -> Any:

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        matrix = _Matrix(context, builder, signature, args, 0, 1)
        weights, targets, p, v = (_Vector(context, builder, signature, args, at) for at in (2, 3, 4, 5))
        products = builder.fmul(weights.each(args[1]), _dots(builder, matrix, p), flags=_FAST)
        _add(builder, matrix, builder.fsub(targets.each(args[1]), products, flags=_FAST), v)
        return context.get_dummy_value()

    return types.void(Y, types.intp, w, t, p, v), code


def _emit_compare(_typing: Any, Y: Any, _first: Any, w: Any, t: Any, x: Any, r: Any, fit: Any) -> Any:

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        matrix = _Matrix(context, builder, signature, args, 0, 1)
        weights, targets, x, r, fit = (_Vector(context, builder, signature, args, at) for at in (2, 3, 4, 5, 6))
        found, wanted = _dots(builder, matrix, x), targets.each(args[1])
        left = builder.fsub(wanted, builder.fmul(weights.each(args[1]), found, flags=_FAST), flags=_FAST)
        gained = builder.fmul(found, builder.fadd(left, wanted, flags=_FAST), flags=_FAST)
        nothing = ir.Constant(args[1].type, 0)
        fit.set_each(builder.fadd(fit.each(nothing), gained, flags=_FAST), nothing)
        _add(builder, matrix, left, r)
        return context.get_dummy_value()

    return types.void(Y, types.intp, w, t, x, r, fit), code


def _emit_add_squares(_typing: Any, Y: Any, _first: Any, w: Any, v: Any) -> Any:

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        matrix = _Matrix(context, builder, signature, args, 0, 1)
        weights, v = (_Vector(context, builder, signature, args, at) for at in (2, 3))
        _add(builder, matrix, weights.each(args[1]), v, squared=True)
        return context.get_dummy_value()

    return types.void(Y, types.intp, w, v), code


def _emit_add_rows(_typing: Any, Y: Any, _first: Any, a: Any, v: Any) -> Any:

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        matrix = _Matrix(context, builder, signature, args, 0, 1)
        factors, v = (_Vector(context, builder, signature, args, at) for at in (2, 3))
        _add(builder, matrix, factors.each(args[1]), v)
        return context.get_dummy_value()

    return types.void(Y, types.intp, a, v), code


def _dots(builder: Any, matrix: "_Matrix", p: "_Vector") -> Any:
    """The products of the rows with p, a number each."""
    sums = [cgutils.alloca_once_value(builder, ir.Constant(p.lanes, None)) for _ in range(ROWS)]

    def step(places: list[Any]) -> None:
        totals = [builder.load(total) for total in sums]
        for at in places:
            p_lanes = p.load(at)
            rows = [_as(builder, matrix.load(row, at), p.lanes) for row in range(ROWS)]
            products = [builder.fmul(row, p_lanes, flags=_FAST) for row in rows]
            totals = [builder.fadd(*both, flags=_FAST) for both in zip(totals, products, strict=True)]
        for total, place in zip(totals, sums, strict=True):
            builder.store(total, place)

    _all_lanes(builder, p.length, step)
    return _summed(builder, [builder.load(total) for total in sums])


def _summed(builder: Any, sums: list[Any]) -> Any:
    """The sums of each vector's numbers: neighbours are added up, of two vectors at a time and, last, of one."""
    width = LANES
    evens, odds = range(0, 2 * width, 2), range(1, 2 * width, 2)
    while len(sums) > 1:
        sums = [_halves(builder, a, b, evens, odds) for a, b in zip(sums[::2], sums[1::2], strict=True)]
    (total,) = sums
    while width > ROWS:
        width //= 2
        total = _halves(builder, total, total, evens[:width], odds[:width])
    return total


def _halves(builder: Any, a: Any, b: Any, some: Any, others: Any) -> Any:
    """The sum of what is at some places of two vectors laid one behind the other, and what is at others."""
    places = [ir.Constant(ir.VectorType(ir.IntType(32), len(at)), list(at)) for at in (some, others)]
    return builder.fadd(*(builder.shuffle_vector(a, b, at) for at in places), flags=_FAST)


def _add(builder: Any, matrix: "_Matrix", factors: Any, v: "_Vector", *, squared: bool = False) -> None:
    """Add to v the rows, or their squares, each times its factor, in whose type they are multiplied and added up."""
    wide, nothing = ir.VectorType(factors.type.element, LANES), ir.Constant(factors.type, ir.Undefined)
    places = ir.VectorType(ir.IntType(32), LANES)
    spread = [builder.shuffle_vector(factors, nothing, ir.Constant(places, [row] * LANES)) for row in range(ROWS)]

    def step(places: list[Any]) -> None:
        for at in places:
            rows = [_as(builder, matrix.load(row, at), wide) for row in range(ROWS)]
            if squared:
                rows = [builder.fmul(row, row, flags=_FAST) for row in rows]
            products = [builder.fmul(*both, flags=_FAST) for both in zip(rows, spread, strict=True)]
            if wide != v.lanes:
                products = [_as(builder, _total(builder, products), v.lanes)]
            v.store(_total(builder, [v.load(at), *products]), at)

    _all_lanes(builder, v.length, step)


def _total(builder: Any, terms: list[Any]) -> Any:
    return functools.reduce(lambda a, b: builder.fadd(a, b, flags=_FAST), terms)


class _Matrix:
    """Rows of a float32 matrix from one on, in the code that is being written."""

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any, matrix: int, first: int) -> None:
        self._builder = builder
        array = context.make_array(signature.args[matrix])(context, builder, args[matrix])
        columns = cgutils.unpack_tuple(builder, array.shape)[1]
        self._rows = [builder.gep(array.data, [builder.mul(args[first], columns)])]
        for _ in range(1, ROWS):
            self._rows.append(builder.gep(self._rows[-1], [columns]))

    def load(self, row: int, at: Any) -> Any:
        kind = ir.VectorType(ir.FloatType(), LANES).as_pointer()
        return self._builder.load(self._builder.bitcast(self._builder.gep(self._rows[row], [at]), kind), align=4)


class _Vector:
    """A vector, in the code that is being written."""

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any, vector: int) -> None:
        self._builder = builder
        array = context.make_array(signature.args[vector])(context, builder, args[vector])
        self._data = array.data
        self.length = cgutils.unpack_tuple(builder, array.shape)[0]
        element = context.get_value_type(signature.args[vector].dtype)
        self.lanes, self._each = ir.VectorType(element, LANES), ir.VectorType(element, ROWS)

    def _place(self, at: Any, kind: Any) -> Any:
        return self._builder.bitcast(self._builder.gep(self._data, [at]), kind.as_pointer())

    def each(self, at: Any) -> Any:
        """The numbers of the rows from one on."""
        return self._builder.load(self._place(at, self._each), align=4)

    def set_each(self, value: Any, at: Any) -> None:
        self._builder.store(value, self._place(at, self._each), align=4)

    def load(self, at: Any) -> Any:
        return self._builder.load(self._place(at, self.lanes), align=4)

    def store(self, value: Any, at: Any) -> None:
        self._builder.store(value, self._place(at, self.lanes), align=4)


def _as(builder: Any, value: Any, kind: Any) -> Any:
    """The same numbers, in float64 where that is asked for."""
    return value if value.type == kind else builder.fpext(value, kind)


def _all_lanes(builder: Any, length: Any, step: Any) -> None:
    """Write what is done for each 16 of a row: several in a sequence, while there are as many, then one by one."""
    several = builder.and_(length, ir.Constant(length.type, -LANES * _AT_ONCE))
    for first, end, count in ((ir.Constant(length.type, 0), several, _AT_ONCE), (several, length, 1)):
        width = ir.Constant(length.type, count * LANES)
        with cgutils.for_range_slice(builder, first, end, width) as (at, _):
            step([builder.add(at, ir.Constant(at.type, each * LANES)) for each in range(count)])


add_products = cast("Callable[[FloatMatrix, int, Vector, Vector, Vector], None]", intrinsic(_emit_add_products))
"""``add_products(Y, first, w, p, v)`` adds ``Σ w_i (y_i · p) y_i`` to ``v`` [K], where Y is float32[n, K], i goes from
``first`` over `ROWS` rows, and all else is of one type. For kernels alone, as all of these, and written into them: a
call with a matrix and some vectors would cost as much as what it does."""

add_residuals = cast(
    "Callable[[FloatMatrix, int, Vector, Vector, Vector, Vector], None]", intrinsic(_emit_add_residuals)
)
"""``add_residuals(Y, first, w, t, p, v)`` adds ``Σ (t_i - w_i y_i · p) y_i`` to ``v``."""

add_rows = cast("Callable[[FloatMatrix, int, Vector, Vector], None]", intrinsic(_emit_add_rows))
"""``add_rows(Y, first, a, v)`` adds ``Σ a_i y_i`` to ``v``; what is added is computed in the type of ``a``."""

add_squares = cast("Callable[[FloatMatrix, int, Vector, Vector], None]", intrinsic(_emit_add_squares))
"""``add_squares(Y, first, w, v)`` adds ``Σ w_i y_ij²`` to ``v``, by column j."""

compare = cast("Callable[[FloatMatrix, int, Vector, Vector, Vector, Vector, Vector], None]", intrinsic(_emit_compare))
"""``compare(Y, first, w, t, x, r, fit)`` does ``add_residuals(Y, first, w, t, x, r)``, and adds ``2 t_i y_i · x - w_i
(y_i · x)²`` of each row to its number of ``fit`` [`ROWS`]."""
