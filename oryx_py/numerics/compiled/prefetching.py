"""Asking for what a kernel will need before it does."""

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from oryx_py.numerics.arrays import FloatMatrix

__all__ = ["prefetch"]

_INTO_OUTER_CACHE = 1
"""Of llvm.prefetch's localities: into the core's outer cache, so that the inner one keeps what is worked on."""
_TO_READ, _OF_DATA = 0, 1

_cgutils: Any = cgutils  # has no annotations


def _prefetch(typing: Any, matrix: Any, row: Any, column: Any) -> tuple[Any, Callable[..., Any]]:  # noqa: ARG001
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        array = context.make_array(kind)(context, builder, arguments[0])
        at = [
            context.cast(builder, index, given, types.intp)
            for index, given in zip(arguments[1:], signature.args[1:], strict=True)
        ]
        entry = _cgutils.get_item_pointer(context, builder, kind, array, at, wraparound=False)
        pointer, number = _cgutils.voidptr_t, ir.IntType(32)
        kind_of_call = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        call = _cgutils.get_or_insert_function(builder.module, kind_of_call, "llvm.prefetch.p0")
        how = [number(each) for each in (_TO_READ, _INTO_OUTER_CACHE, _OF_DATA)]
        builder.call(call, [builder.bitcast(entry, pointer), *how])
        return context.get_dummy_value()

    return types.void(matrix, row, column), generate


prefetch = cast("Callable[[FloatMatrix, int, int], None]", intrinsic(_prefetch))
"""Have the cache line of ``matrix[row, column]`` fetched: for kernels alone. Changes nothing and waits for nothing."""
