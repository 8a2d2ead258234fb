"""The rule for IDs: 1 to 1,024 bytes of UTF-8 without control characters."""

import unicodedata

import pytest

from oryx_py.errors import BadInteraction
from oryx_py.events import check_id

CONTROL = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) == "Cc"]


@pytest.mark.parametrize(
    "text", ["a", " ", "a" * 1024, "é" * 512, "😀" * 256, "a/b%2F=,", "\u2028", "\ufeff", "\U0010ffff"]
)
def test_an_id_that_follows_the_rule_comes_back_unchanged(text: str) -> None:
    assert check_id(text, "user") is text


@pytest.mark.parametrize("text", ["", "a" * 1025, "é" * 513, "😀" * 257, "\ud800", "a\udfff"])
def test_an_id_that_breaks_the_rule_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadInteraction, match=r"^item "):
        check_id(text, "item")


def test_every_control_character_is_refused_and_named() -> None:
    assert len(CONTROL) == 65
    for character in CONTROL:
        with pytest.raises(BadInteraction, match=f"U\\+{ord(character):04X}"):
            check_id(f"a{character}b", "user")
