"""Vector instructions that the compiler does not find by itself: four rows of a matrix at a time.

Numba compiles a loop over one row of 64 numbers into more preparation than multiplication. These steps are written in
LLVM's own vectors instead, which it turns into the registers of whatever machine it is on. Rows are `LANES` long, or a
multiple of that: who has fewer columns fills them up with zeros.
"""

from typing import Any, TypeAlias

from llvmlite import ir
from numba.core import cgutils as untyped_cgutils
from numba.core import types as untyped_types
from numba.extending import intrinsic

from oryx_py.numerics.arrays import DoubleVector, FloatMatrix, FloatVector
from oryx_py.numerics.compiling import lean_part

__all__ = ["LANES", "ROWS", "add_rows", "dots"]

cgutils: Any = untyped_cgutils
types: Any = untyped_types

Four: TypeAlias = tuple[float, float, float, float]
Vector: TypeAlias = DoubleVector | FloatVector

LANES = 16
"""Numbers that are multiplied at once; a row is a multiple of them."""
ROWS = 4
"""Rows that share the loads of what they are multiplied with."""

_FAST = "contract", "nsz", "reassoc"


def _emit_dots(_typing: Any, Y: Any, _first: Any, p: Any) -> Any:

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        matrix, vector = _Matrix(context, builder, signature, args, 0, 1), _Vector(context, builder, signature, args, 2)
        zero = ir.Constant(vector.lanes, None)
        sums = [cgutils.alloca_once_value(builder, zero) for _ in range(ROWS)]
        with _lanes(builder, vector.length) as at:
            p_lanes = vector.load(at)
            for row, total in enumerate(sums):
                product = builder.fmul(matrix.load(row, at, vector.lanes), p_lanes, flags=_FAST)
                builder.store(builder.fadd(builder.load(total), product, flags=_FAST), total)
        name = f"llvm.vector.reduce.fadd.v{LANES}{'f32' if vector.element == ir.FloatType() else 'f64'}"
        kind = ir.FunctionType(vector.element, [vector.element, vector.lanes])
        reduce = cgutils.get_or_insert_function(builder.module, kind, name)
        start = ir.Constant(vector.element, -0.0)
        found = [builder.call(reduce, [start, builder.load(total)], fastmath=_FAST) for total in sums]
        return context.make_tuple(builder, signature.return_type, found)

    return types.UniTuple(p.dtype, ROWS)(Y, types.intp, p), code


def _emit_add_rows(_typing: Any, Y: Any, _first: Any, _a: Any, v: Any) -> Any:

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        matrix, vector = _Matrix(context, builder, signature, args, 0, 1), _Vector(context, builder, signature, args, 3)
        factors = [_spread(builder, builder.extract_value(args[2], row), vector.lanes) for row in range(ROWS)]
        with _lanes(builder, vector.length) as at:
            total = vector.load(at)
            for row, factor in enumerate(factors):
                product = builder.fmul(matrix.load(row, at, vector.lanes), factor, flags=_FAST)
                total = builder.fadd(total, product, flags=_FAST)
            vector.store(total, at)
        return context.get_dummy_value()

    return types.void(Y, types.intp, types.UniTuple(v.dtype, ROWS), v), code


class _Matrix:
    """Rows of a float32 matrix from one on, in the code that is being written."""

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any, matrix: int, first: int) -> None:
        self._builder = builder
        array = context.make_array(signature.args[matrix])(context, builder, args[matrix])
        self.columns = cgutils.unpack_tuple(builder, array.shape)[1]
        start = builder.mul(args[first], self.columns)
        self._rows = [builder.gep(array.data, [start])]
        for _ in range(1, ROWS):
            self._rows.append(builder.gep(self._rows[-1], [self.columns]))

    def place(self, row: int, at: Any) -> Any:
        return self._builder.gep(self._rows[row], [at])

    def load(self, row: int, at: Any, lanes: Any) -> Any:
        """Load numbers in the type of those that they are multiplied with."""
        narrow = ir.VectorType(ir.FloatType(), LANES)
        place = self._builder.bitcast(self.place(row, at), narrow.as_pointer())
        loaded = self._builder.load(place, align=4)
        return loaded if lanes == narrow else self._builder.fpext(loaded, lanes)


class _Vector:
    """A vector, in the code that is being written."""

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any, vector: int) -> None:
        self._builder = builder
        array = context.make_array(signature.args[vector])(context, builder, args[vector])
        self._data = array.data
        self.length = cgutils.unpack_tuple(builder, array.shape)[0]
        self.element = context.get_value_type(signature.args[vector].dtype)
        self.lanes = ir.VectorType(self.element, LANES)

    def _place(self, at: Any) -> Any:
        return self._builder.bitcast(self._builder.gep(self._data, [at]), self.lanes.as_pointer())

    def load(self, at: Any) -> Any:
        return self._builder.load(self._place(at), align=4)

    def store(self, value: Any, at: Any) -> None:
        self._builder.store(value, self._place(at), align=4)


def _lanes(builder: Any, length: Any) -> Any:
    """A loop over 0, 16, … below the length."""
    zero = ir.Constant(length.type, 0)
    return _Firsts(cgutils.for_range_slice(builder, zero, length, ir.Constant(length.type, LANES)))


class _Firsts:
    """A loop of which the index alone is wanted."""

    def __init__(self, loop: Any) -> None:
        self._loop = loop

    def __enter__(self) -> Any:
        return self._loop.__enter__()[0]

    def __exit__(self, *reason: Any) -> None:
        self._loop.__exit__(*reason)


def _spread(builder: Any, value: Any, lanes: Any) -> Any:
    """Let all lanes be one number."""
    one = builder.insert_element(ir.Constant(lanes, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), None)
    return builder.shuffle_vector(one, ir.Constant(lanes, ir.Undefined), zeros)


_dots: Any = intrinsic(_emit_dots)
_add_rows: Any = intrinsic(_emit_add_rows)


@lean_part
def dots(Y: FloatMatrix, first: int, p: Vector) -> Four:
    """Return the products of the rows ``first`` … ``first + 3`` of float32[n, K] with ``p`` [K], in p's type."""
    found: Four = _dots(Y, first, p)
    return found


@lean_part
def add_rows(Y: FloatMatrix, first: int, a: Four, v: Vector) -> None:
    """Add to ``v`` [K] the rows ``first`` … ``first + 3`` of float32[n, K], each times its one of the four ``a``."""
    _add_rows(Y, first, a, v)
