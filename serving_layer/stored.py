"""What a write has stored so far."""

from oryx_py.ports import Delivery

__all__ = ["OFFSET_HEADER", "Stored"]

OFFSET_HEADER = "X-Oryx-Offset"


class Stored:
    """Acknowledged interactions of one request; whoever ends the request, or cuts it off, tells the client of them."""

    def __init__(self) -> None:
        self.accepted = 0
        self._last: dict[int, int] = {}

    def add(self, delivery: Delivery) -> None:
        """Count one that is acknowledged."""
        self.accepted += 1
        if delivery.partition >= 0 and delivery.offset >= 0:  # a broker that has stored a repeat tells no offset
            self._last[delivery.partition] = max(delivery.offset, self._last.get(delivery.partition, -1))

    def headers(self) -> dict[str, str]:
        """Return ``X-Oryx-Offset``, the last known offset of each partition; no header where there is none."""
        text = ",".join(f"{partition}:{offset}" for partition, offset in sorted(self._last.items()))
        return {OFFSET_HEADER: text} if text else {}
