"""Numbers look as Java 19 and later print them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oryx_py.oryx2.java_numbers import java_float, java_texts

# Float.toString, from the JDK's own documentation and tests (JDK-4511638).
FLOATS = [
    (0.0, "0.0"),
    (-0.0, "-0.0"),
    (1.0, "1.0"),
    (-1.0, "-1.0"),
    (0.1, "0.1"),
    (0.5, "0.5"),
    (100.0, "100.0"),
    (0.001, "0.001"),
    (0.00099999, "9.9999E-4"),
    (1e-4, "1.0E-4"),
    (-1.5e-5, "-1.5E-5"),
    (9999999.0, "9999999.0"),
    (1e7, "1.0E7"),
    (12345678.0, "1.2345678E7"),
    (33554432.0, "3.3554432E7"),
    (2.0e-3, "0.002"),
    (1.1e10, "1.1E10"),
    (2e23, "2.0E23"),
    (3.4028235e38, "3.4028235E38"),
    (1.17549435e-38, "1.1754944E-38"),
    (1.4e-45, "1.4E-45"),
    (2.8e-45, "2.8E-45"),
    (9.8e-45, "9.8E-45"),
    (0.14134802, "0.14134802"),
    (float("nan"), "NaN"),
    (float("inf"), "Infinity"),
    (float("-inf"), "-Infinity"),
]
DOUBLES = [
    (0.0, "0.0"),
    (1e-4, "1.0E-4"),
    (0.141348009071816, "0.141348009071816"),
    (2e23, "2.0E23"),
    (4.9e-324, "4.9E-324"),
    (9.9e-324, "9.9E-324"),
    (1.7976931348623157e308, "1.7976931348623157E308"),
    (2.2250738585072014e-308, "2.2250738585072014E-308"),
    (1e23, "1.0E23"),
    (8.41e21, "8.41E21"),
    (9007199254740993.0, "9.007199254740992E15"),
    (1e7, "1.0E7"),
    (9999999.999, "9999999.999"),
]


@pytest.mark.parametrize(("number", "text"), FLOATS, ids=str)
def test_a_float_looks_as_in_java(number, text):
    assert java_float(np.float32(number)) == text


@pytest.mark.parametrize(("number", "text"), DOUBLES, ids=str)
def test_a_double_looks_as_in_java(number, text):
    assert java_float(number) == text


def test_many_look_as_one_by_one():
    floats = np.array([number for number, _ in FLOATS], np.float32)
    assert java_texts(floats) == [text for _, text in FLOATS]
    assert java_texts(np.array([number for number, _ in DOUBLES])) == [text for _, text in DOUBLES]
    assert java_texts(floats[:0]) == []


def shape(text):
    """Whether a text has one of Java's two forms."""
    digits, _, exponent = text.lstrip("-").partition("E")
    whole, dot, fraction = digits.partition(".")
    assert dot
    assert fraction
    assert fraction == "0" or not fraction.endswith("0")
    if exponent:
        assert len(whole) == 1
        assert whole != "0"
        assert not -3 <= int(exponent) < 7
    return len((whole + fraction).strip("0"))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_a_float_reads_back_and_no_shorter_text_does(numbers):
    array = np.array(numbers, np.float32)
    for number, text in zip(array, java_texts(array), strict=True):
        assert text == java_float(number)
        assert np.float32(text) == number
        assert np.signbit(np.float32(text)) == np.signbit(number)
        shorter = shape(text) - 1
        if shorter > 1:  # two digits are as good as one
            assert np.float32(f"{float(number):.{shorter - 1}e}") != number


@settings(deadline=None, max_examples=60)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_double_reads_back(number):
    text = java_float(number)
    shape(text)
    assert float(text) == number
    assert java_texts(np.array([number])) == [text]
