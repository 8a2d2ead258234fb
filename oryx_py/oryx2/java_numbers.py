"""Numbers as Java writes them: ``Float.toString`` and ``Double.toString`` since JDK 19.

The shortest decimal that reads back to the same number, the nearest where several are as short; it has at least one
digit after the point, and an exponent below 10⁻³ and from 10⁷ on: ``0.001``, ``1.0E-4``, ``9999999.0``, ``1.0E7``.
Where one digit would do, the nearest of two digits is taken: ``4.9E-324``, not ``5.0E-324``.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

__all__ = ["java_float", "java_texts"]

_Reads: TypeAlias = Callable[[str], bool]


def java_float(number: np.float32 | np.float64 | float) -> str:
    """Return a number's text; ``NaN``, ``Infinity`` and ``-Infinity`` for those that are none.

    A ``float32`` gives what ``Float.toString`` does, anything else what ``Double.toString`` does.
    """
    if np.isnan(number):
        return "NaN"
    if np.isinf(number):
        return "-Infinity" if number < 0 else "Infinity"
    if isinstance(number, np.float32):
        return _java(str(number), float(number), lambda text: np.float32(text) == number)
    double = float(number)
    return _java(repr(double), double, lambda text: float(text) == double)


def java_texts(values: NDArray[np.floating[Any]]) -> list[str]:
    """Return the texts of float32[n] or float64[n], in order.

    Numbers from 10⁻³ to 10⁷ look the same here and there, and they are nearly all: orjson prints these at once.
    """
    if not len(values):
        return []
    size = np.abs(values)
    same = (size >= values.dtype.type(1e-3)) & (size < values.dtype.type(1e7))
    texts = orjson.dumps(np.where(same, values, 1), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].decode().split(",")
    for at in np.flatnonzero(~same).tolist():
        texts[at] = java_float(values[at])
    return texts


def _java(shortest: str, exact: float, reads_back: _Reads) -> str:
    digits, exponent = _scientific(shortest)
    # Beside the shortest, Java looks at two digits where one would do, and takes the nearest.
    nearest = _scientific(f"{abs(exact):.{max(len(digits), 2) - 1}e}")
    if digits != "0" and reads_back(f"{'-' if exact < 0 else ''}{nearest[0]}e{nearest[1] - len(nearest[0]) + 1}"):
        digits, exponent = nearest
    sign = "-" if shortest.startswith("-") else ""
    if digits == "0":
        return f"{sign}0.0"
    if -3 <= exponent < 7:
        return sign + _positional(digits, exponent)
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{exponent}"


def _scientific(text: str) -> tuple[str, int]:
    """Return a number's digits, without zeros at either end, and the power of ten of the first."""
    mantissa, _, power = text.lstrip("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    exponent = int(power or 0) + len(whole) - 1 - (len(whole + fraction) - len(digits))
    return digits.rstrip("0") or "0", exponent


def _positional(digits: str, exponent: int) -> str:
    if exponent < 0:
        return "0." + "0" * (-exponent - 1) + digits
    whole = digits[: exponent + 1].ljust(exponent + 1, "0")
    return f"{whole}.{digits[exponent + 1 :] or '0'}"
