"""What a write has stored so far."""

from oryx_py.ports import Delivery
from serving_layer.http_semantics.problems import Problem

__all__ = ["OFFSET_HEADER", "WriteProgress"]

OFFSET_HEADER = "X-Oryx-Offset"


class WriteProgress:
    """Acknowledged interactions of one request; whoever ends the request, or cuts it off, tells the client of them.

    Args:
        repeatable: whether nothing counts twice when the whole request is sent again. Its records are named by their
            lines in its body, so that a body of the rest alone would give them the names of others.

    Attributes:
        accepted: interactions that are acknowledged, in order, from the first on.
        line: of the last one of them; 0 as long as there is none.
    """

    def __init__(self, *, repeatable: bool) -> None:
        self.accepted = 0
        self.line = 0
        self._repeatable = repeatable
        self._last: dict[int, int] = {}

    def add(self, delivery: Delivery, line: int) -> None:
        """Count the next one, which is acknowledged."""
        self.accepted += 1
        self.line = line
        if delivery.partition >= 0 and delivery.offset >= 0:  # a broker that has stored a repeat tells no offset
            self._last[delivery.partition] = max(delivery.offset, self._last.get(delivery.partition, -1))

    def remedy(self) -> str:
        """Say how to store the rest after not all was acknowledged."""
        if self._repeatable:
            return (
                f"{self.accepted} of it are stored, of the others some may be: send the whole request again, "
                "unchanged, with the same Idempotency-Key if it had one, and nothing counts twice"
            )
        return (
            f"everything up to line {self.line} is stored, of the others some may be: go on after line {self.line}, "
            "where such a line then counts twice; with an Idempotency-Key none would"
        )

    def headers(self) -> dict[str, str]:
        """Return ``X-Oryx-Offset``, the last known offset of each partition; no header where there is none."""
        text = ",".join(f"{partition}:{offset}" for partition, offset in sorted(self._last.items()))
        return {OFFSET_HEADER: text} if text else {}

    def stopped(self, reason: str) -> Problem:
        """Return the answer to a write of which not all is acknowledged, and why; 503."""
        problem = Problem.unavailable(f"{reason}; {self.remedy()}", accepted=self.accepted, line=self.line)
        problem.headers.update(self.headers())
        return problem
