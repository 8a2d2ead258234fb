"""PMML's lists of values: separated by spaces, in quotes where one has a space; ``\\"`` is a quote inside."""

import re
from collections.abc import Sequence

from oryx_py.errors import BadInteraction, BadMessage
from oryx_py.events import check_id

__all__ = ["read_ids"]

_PLAIN = re.compile(r"[^ \t\r\n]+")
# Possessive, so that no list makes it go back; what is in no value is spaces, or a quote that nothing closes.
_VALUE = re.compile(r'"((?:[^"\\]|\\.|"")*+)"(?=[ \t\r\n]|\Z)|((?!")(?:[^ \t\r\n\\]|\\.)++)|([^ \t\r\n])', re.DOTALL)
_ESCAPED = re.compile(r'\\([\\" ])|""')


def read_ids(text: str, what: str, max_ids: int) -> Sequence[str]:
    r"""Return the IDs of a list, in its order.

    As Oryx 2 writes and reads it: ``ab "a b" "with \"quotes\" "``. ``""`` inside quotes is a quote, too, ``\\`` a
    backslash; before any other character a backslash stands for itself. Only spaces, tabs and line ends separate, since
    others belong to IDs.

    Args:
        text: the list.
        what: its name, for the message.
        max_ids: how many are allowed.

    Raises:
        BadMessage: a quote is not closed, an ID breaks the rule, or there are too many.
    """
    ids = _PLAIN.findall(text) if '"' not in text and "\\" not in text else _quoted(text, what)
    if len(ids) > max_ids:
        raise BadMessage(f"{what} has {len(ids)} IDs, at most {max_ids} are allowed")
    try:
        for name in ids:
            check_id(name, f"an ID of {what}")
    except BadInteraction as error:
        raise BadMessage(error.reason) from None
    return ids


def _quoted(text: str, what: str) -> list[str]:
    ids = []
    for found in _VALUE.finditer(text):
        quoted, plain, stray = found.groups()
        if stray is not None:
            raise BadMessage(f"{what}: the quote at character {found.start()} of the list is not closed")
        ids.append(_ESCAPED.sub(lambda m: m[1] or '"', quoted) if plain is None else _unescaped(plain))
    return [name for name in ids if name]


def _unescaped(plain: str) -> str:
    return re.sub(r'\\([\\" ])', r"\1", plain) if "\\" in plain else plain
