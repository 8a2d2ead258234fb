"""The rule for the IDs of users and items."""

from oryx_py.errors import BadInteraction

__all__ = ["MAX_ID_BYTES", "SURELY_SHORT", "check_id"]

MAX_ID_BYTES = 1024

SURELY_SHORT = MAX_ID_BYTES // 4
"""So many characters always fit: UTF-8 takes at most four bytes for one."""


def check_id(text: str, what: str) -> str:
    """Return an ID that follows the rule: 1 to 1,024 bytes of UTF-8 without control characters, never normalised.

    Args:
        text: the ID.
        what: what it names, for the message: `user`, `item`.

    Raises:
        BadInteraction: it does not follow the rule.
    """
    if text.isprintable() and 0 < len(text) <= SURELY_SHORT:
        return text  # the common case: control characters and lone surrogates are not printable
    if not text:
        raise BadInteraction(f"{what} is empty")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise BadInteraction(f"{what} has half of a surrogate pair, which is no character") from None
    if size > MAX_ID_BYTES:
        raise BadInteraction(f"{what} has {size} bytes, at most {MAX_ID_BYTES} are allowed")
    for character in text:
        if character < " " or "\x7f" <= character <= "\x9f":
            raise BadInteraction(f"{what} has the control character U+{ord(character):04X}")
    return text
