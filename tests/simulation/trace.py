"""What happened, line by line."""

from collections.abc import Mapping

__all__ = ["Trace"]


class Trace:
    """Keeps lines, or none.

    Args:
        is_kept: whether somebody wants to read them.
    """

    def __init__(self, *, is_kept: bool = False) -> None:
        self.is_kept = is_kept
        self.lines: list[str] = []

    def note(self, seconds: float, who: str, what: str, words: Mapping[str, object]) -> None:
        """Add a line."""
        if self.is_kept:
            said = " ".join(f"{name}={value!r}" for name, value in words.items())
            self.lines.append(f"{seconds:9.3f} {who:12} {what} {said}".rstrip())
