"""Finds the checkpoints with which a start begins: of each input partition the newest one.

A checkpoint is of use where it can be read; whatever is wrong with one is said in one line of the log, and the one
before is tried, and then there is none: everything is then read from the generation's end on, as it was before any.
Where several processes share the input, each writes its partitions; a start takes together what it needs.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import structlog

from oryx_py.errors import OryxError
from oryx_py.model.checkpoints.checkpoint_files import Checkpoint, CheckpointManifest, Covered, decode_checkpoint
from oryx_py.model.epochs.registry import EpochStarted
from oryx_py.model.files import REMEDY
from oryx_py.model.generations.generation import Generation
from oryx_py.model.generations.manifest import Manifest
from oryx_py.ports import ArtefactStore
from oryx_py.runtime.restored import Restored, Taken, Together, restored, together

__all__ = ["Checkpoints", "epoch_of", "name_of"]

log = structlog.get_logger("checkpoint")

_EPOCH_DIGITS = 10


def name_of(epoch: int, unique: str) -> str:
    """Return the name of a checkpoint: by epoch, then as ``unique`` sorts, which is by time."""
    return f"{epoch:0{_EPOCH_DIGITS}d}-{unique}"


def epoch_of(name: str) -> int | None:
    """Return the epoch that a name says, None for what is no name of a checkpoint."""
    digits, dash, _ = name.partition("-")
    return int(digits) if dash and len(digits) == _EPOCH_DIGITS and digits.isdecimal() and digits.isascii() else None


class Checkpoints:
    """Reads the checkpoints of a store; any thread may.

    Args:
        store: of checkpoints.
        generations: what they are of.
        partitions: the input topic's.
    """

    def __init__(self, store: ArtefactStore, generations: ArtefactStore, partitions: Collection[int]) -> None:
        self._store = store
        self._generations = generations
        self._partitions = frozenset(partitions)

    def covered_of(self, epochs: Iterable[EpochStarted]) -> dict[int, Together]:
        """Return by epoch what its newest checkpoints cover, as `covered`; the store is listed once for all of them.

        Of the epochs that a registry has only the last few have any.
        """
        listed = self._listed()
        return {epoch.epoch: found for epoch in epochs if (found := self._together(epoch, listed)) is not None}

    def covered(self, epoch: EpochStarted) -> Together | None:
        """Return what an epoch's newest checkpoints cover, whatever their other files are like.

        None where they do not have all input partitions.
        """
        return self.covered_of([epoch]).get(epoch.epoch)

    def _together(self, epoch: EpochStarted, listed: Mapping[int, Sequence[str]]) -> Together | None:
        of_partition: dict[int, CheckpointManifest] = {}
        for manifest in self._readable(epoch, listed):
            of_partition = dict.fromkeys(self._partitions & manifest.covered.input.keys(), manifest) | of_partition
            if len(of_partition) == len(self._partitions):
                return together(epoch.epoch, of_partition)
        return None

    def all_covered(self, epochs: Iterable[EpochStarted]) -> list[Covered]:
        """Return up to where each checkpoint of these epochs goes; the store is listed once for all of them."""
        listed = self._listed()
        return [manifest.covered for epoch in epochs for manifest in self._readable(epoch, listed)]

    def newest(
        self,
        epoch: EpochStarted,
        generation: Generation,
        announced: Mapping[int, int] | None = None,
        wanted: Collection[int] | None = None,
    ) -> Restored | None:
        """Return what an epoch's newest checkpoints have that are whole, and of this generation; None for nothing.

        With what was ``announced``, by input partition, one is left out that goes further: its writer had been
        replaced, and readers have dropped what it sent.

        Args:
            epoch: which.
            generation: of the epoch.
            announced: by input partition; None for whatever it was.
            wanted: the input partitions of use, also where some have none; None for all of them, or nothing.
        """
        missing = set(self._partitions if wanted is None else wanted)
        others = set(self._partitions - missing)
        taken: list[Taken] = []
        for manifest in self._readable(epoch):
            name, covers = manifest.checkpoint, manifest.covered.input
            found = {
                p for p in missing & covers.keys() if announced is None or covers[p] <= announced.get(p, covers[p])
            }
            if found != missing & covers.keys():
                _leave_out(name, "its writer had been replaced")
            if not found:
                continue
            try:
                checkpoint = Checkpoint.open(self._store.local(name), generation)
            except (OryxError, OSError) as trouble:
                _leave_out(name, trouble)
                continue
            log.info(
                "checkpoint_read", checkpoint=name, pairs=manifest.pairs, input={p: covers[p] for p in sorted(found)}
            )
            taken.append(Taken(checkpoint, frozenset(found), frozenset(others & covers.keys())))
            missing -= found
            others -= covers.keys()
            if not missing:
                break
        if not taken or (missing and wanted is None):
            return None
        return restored(epoch.epoch, generation, len(self._partitions), taken)

    def _readable(
        self, epoch: EpochStarted, listed: Mapping[int, Sequence[str]] | None = None
    ) -> Iterator[CheckpointManifest]:
        names = (self._listed() if listed is None else listed).get(epoch.epoch, ())
        if not names:
            return
        try:
            generation = self._generations.manifest(epoch.generation)
        except (OryxError, OSError):
            return  # who opens the generation says what is wrong with it
        for name in names:
            try:
                manifest = decode_checkpoint(self._store.raw_manifest(name), name)
            except (OryxError, OSError) as trouble:
                _leave_out(name, trouble)
                continue
            wrong = self._wrong(manifest, name, epoch, generation)
            if wrong is None:
                yield manifest
            else:
                _leave_out(name, wrong)

    def _wrong(self, manifest: CheckpointManifest, name: str, epoch: EpochStarted, generation: Manifest) -> str | None:
        if (manifest.checkpoint, manifest.epoch) != (name, epoch.epoch):
            return f"it is {manifest.checkpoint} of epoch {manifest.epoch}"
        if (manifest.generation, manifest.generation_checksum) != (generation.generation, generation.checksum):
            return f"it is of another generation than {generation.generation}"
        foreign = manifest.covered.input.keys() - self._partitions
        return f"it has an input partition {max(foreign)}, which the topic does not have" if foreign else None

    def _listed(self) -> dict[int, list[str]]:
        """Return by epoch the names of its checkpoints, the newest first."""
        names: dict[int, list[str]] = {}
        try:
            for name in reversed(self._store.generations()):
                epoch = epoch_of(name)
                if epoch is not None:
                    names.setdefault(epoch, []).append(name)
        except (OryxError, OSError) as trouble:
            log.warning("checkpoints_unreadable", reason=str(trouble), hint="the start takes longer")
        return names


def _leave_out(name: str, reason: object) -> None:
    log.warning(
        "checkpoint_left_out",
        checkpoint=name,
        reason=str(reason).removesuffix(f": {REMEDY}"),
        hint="nothing is lost; the start takes longer",
    )
