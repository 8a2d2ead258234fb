"""How far the layer is behind the input: in offsets, and since when."""

from collections.abc import Callable, Mapping, Sequence

from oryx_py.ports import Clock, Record
from speed_layer.telemetry.gauges import LayerGauges

__all__ = ["Lag", "LagWatch"]

Offsets = Mapping[int, int]


class Lag:
    """By input partition what is not done yet; decides, and asks nobody.

    The oldest record not done is not looked up. It came after the last one that is done, and after the last moment at
    which nothing was left; the later of the two is its time, or a little before it. So the age is never too small, and
    while a layer is behind it is too large by the time between two records at most. Of what was there before the first
    look, and of which nothing is done, only the time since that look is known.
    """

    def __init__(self) -> None:
        self.records: dict[int, int] = {}
        """By partition, offsets between what is done and the log's end."""
        self._even_at: dict[int, int] = {}
        """By partition, when nothing was left last."""
        self._known_at: dict[int, int] = {}
        """By partition, when it was looked at first."""
        self._oldest: tuple[int, ...] = ()

    def look(self, done: Offsets, ends: Offsets, times_ms: Offsets, now_ms: int) -> None:
        """Take note of how it stands now.

        Args:
            done: by partition, below these offsets everything is done; those that are missing are another's.
            ends: by partition the log's end, where it is known.
            times_ms: by partition Kafka's time of the last record done, where there was one.
            now_ms: the time.
        """
        self.records = {p: max(0, ends[p] - offset) for p, offset in done.items() if p in ends}
        oldest = []
        for partition, left in self.records.items():
            self._known_at.setdefault(partition, now_ms)
            if left:
                since = max(self._even_at.get(partition, -1), times_ms.get(partition, -1))
                oldest.append(since if since >= 0 else self._known_at[partition])
            else:
                self._even_at[partition] = now_ms
        self._oldest = tuple(oldest)

    def seconds(self, now_ms: int) -> float:
        """Return how long ago the oldest record came that is not done, 0 for none; any thread may ask."""
        return max([0.0, *((now_ms - since) / 1000 for since in self._oldest)])


class LagWatch:
    """Looks at the lag now and then, and says it in the gauges; the age also while the layer is held up.

    Args:
        told: where it is said.
        clock: the layer's.
        every_s: between two looks: a look costs more than a small micro-batch should.
    """

    def __init__(self, told: LayerGauges, clock: Clock, every_s: float = 0.25) -> None:
        self._told, self._clock, self._every_s = told, clock, every_s
        self._lag = Lag()
        self._times_ms: dict[int, int] = {}
        self._looked_at = -1e9
        self._begun_ms: int | None = None
        told.waits_s = lambda: self._seconds(clock.now_ms())

    def begin(self, records: Sequence[Record]) -> None:
        """Take note of a micro-batch that is begun: until it is done its first record waits."""
        self._begun_ms = records[0].timestamp_ms if records else None

    def done(self, records: Sequence[Record], done: Offsets, ends: Callable[[], Offsets]) -> None:
        """Take note of what was done, in the order of its offsets, and up to where; the log's ends are asked if due."""
        self._begun_ms = None
        latest: dict[int, int] = {}
        for record in reversed(records):
            latest.setdefault(record.partition, record.timestamp_ms)
            if len(latest) == len(done):
                break
        self._times_ms |= latest
        now = self._clock.monotonic()
        if now - self._looked_at < self._every_s:
            return
        self._looked_at = now
        self._lag.look(done, ends(), self._times_ms, self._clock.now_ms())
        self._told.lag(self._lag.records)

    def _seconds(self, now_ms: int) -> float:
        begun_ms = self._begun_ms
        return max(self._lag.seconds(now_ms), 0.0 if begun_ms is None else (now_ms - begun_ms) / 1000)
