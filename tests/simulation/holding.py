"""What a replica holds beside the epoch that it serves."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from oryx_py.messages import Progress, decode
from oryx_py.model.epochs.announcements import Announcements
from serving_layer.following.model_manager import ModelManager
from tests.simulation.process import Failure

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["Holding"]


class Holding:
    """Sees to it that an epoch that is live is not put aside for one that is not (9).

    The speed layer leaves what is served for the one that is live; without it, what is served stands still until
    another is live, and nobody knows when that is.
    """

    def __init__(self, world: "World", name: str, manager: ModelManager) -> None:
        self._world, self._name, self._manager = world, name, manager
        self._since: dict[int, Mapping[int, int]] = {}
        """By epoch held, from where on the replica has heard of it for certain: it was in the registry it knew."""

        self._read: Mapping[int, int] = {}
        """Where what is served was read to at the last look: what came since may have come after the choice."""

    def look(self) -> None:
        """Compare with what was held at the last look."""
        manager = self._manager
        served = manager._served
        if served is None:
            return
        held = {epoch for epoch in manager._held if epoch > served.entry.epoch}
        for epoch in self._since.keys() - held:
            since = self._since.pop(epoch)
            if epoch <= served.entry.epoch or epoch in manager._refusals._refusals:
                continue
            if self._is_live(epoch, since, self._read) and not any(self._is_live(other) for other in held):
                raise Failure(f"{self._name} puts epoch {epoch} aside, which is live, and holds {sorted(held)}")
        for epoch in held - self._since.keys():
            self._since[epoch] = dict(served._positions)
        self._read = dict(served._positions)

    def _is_live(
        self, epoch: int, since: Mapping[int, int] | None = None, until: Mapping[int, int] | None = None
    ) -> bool:
        """Whether it was announced live between these offsets; None for ever."""
        world, announcements = self._world, Announcements(self._world.plan.update_partitions)
        for record in world.archive.get(world.UPDATE, []):
            if record.key != b"PROGRESS" or (until is not None and record.offset >= until.get(record.partition, 0)):
                continue
            progress = decode(record.key, record.value, record.headers)
            assert isinstance(progress, Progress)
            if since is None or record.offset >= since.get(record.partition, 0):
                announcements.add(progress, record.timestamp_ms, record.partition)
            else:
                announcements.note(progress, record.partition)
        return announcements.of(epoch).is_live(range(world.plan.partitions))
