"""Finds the checkpoint with which a start begins.

A checkpoint is of use where it can be read; whatever is wrong with one is said in one line of the log, and the one
before is tried, and then there is none: everything is then read from the generation's end on, as it was before any.
"""

from collections.abc import Collection, Iterator, Mapping

import structlog

from oryx_py.errors import OryxError
from oryx_py.messages import Progress
from oryx_py.model.checkpoint import Checkpoint, CheckpointManifest, Covered, decode_checkpoint
from oryx_py.model.epochs import Announcements
from oryx_py.model.files import REMEDY
from oryx_py.model.generation import Generation
from oryx_py.model.manifest import Manifest
from oryx_py.model.registry import EpochStarted
from oryx_py.ports import ArtefactStore

__all__ = ["Checkpoints", "epoch_of", "name_of", "seeded"]

log = structlog.get_logger("checkpoint")

_EPOCH_DIGITS = 10


def name_of(epoch: int, unique: str) -> str:
    """Return the name of a checkpoint: by epoch, then as ``unique`` sorts, which is by time."""
    return f"{epoch:0{_EPOCH_DIGITS}d}-{unique}"


def epoch_of(name: str) -> int | None:
    """Return the epoch that a name says, None for what is no name of a checkpoint."""
    digits, dash, _ = name.partition("-")
    return int(digits) if dash and len(digits) == _EPOCH_DIGITS and digits.isdecimal() and digits.isascii() else None


def seeded(announcements: Announcements, manifest: CheckpointManifest) -> Announcements:
    """Add what had been announced of an epoch when its checkpoint was taken."""
    covered = manifest.covered
    live = dict.fromkeys(covered.live, True)
    announced = covered.input if covered.announced is None else covered.announced
    announcements.add(Progress(dict(announced), live, manifest.epoch), manifest.created_ms)
    announcements.seed(covered.terms)
    return announcements


class Checkpoints:
    """Reads the checkpoints of a store; any thread may.

    Args:
        store: of checkpoints.
        generations: what they are of.
        partitions: the input topic's; only a checkpoint that has all of them is begun with.
    """

    def __init__(self, store: ArtefactStore, generations: ArtefactStore, partitions: Collection[int]) -> None:
        self._store = store
        self._generations = generations
        self._partitions = frozenset(partitions)

    def covered(self, epoch: EpochStarted) -> CheckpointManifest | None:
        """Return the manifest of an epoch's newest complete checkpoint, whatever its other files are like."""
        return next(self._complete(epoch), None)

    def all_covered(self, epoch: EpochStarted) -> list[Covered]:
        """Return up to where each complete checkpoint of an epoch goes, the newest first."""
        return [manifest.covered for manifest in self._complete(epoch)]

    def newest(
        self, epoch: EpochStarted, generation: Generation, announced: Mapping[int, int] | None = None
    ) -> Checkpoint | None:
        """Return an epoch's newest complete checkpoint that is whole, and of this generation; None where none is.

        With what was ``announced``, by input partition, one is left out that goes further: its writer had been
        replaced, and readers have dropped what it sent.
        """
        for manifest in self._complete(epoch):
            name = manifest.checkpoint
            covers = manifest.covered.input.items()
            if announced is not None and any(offset > announced.get(p, offset) for p, offset in covers):
                _leave_out(name, "its writer had been replaced")
                continue
            try:
                checkpoint = Checkpoint.open(self._store.local(name), generation)
            except (OryxError, OSError) as trouble:
                _leave_out(name, trouble)
            else:
                covered = dict(sorted(manifest.covered.input.items()))
                log.info("checkpoint_read", checkpoint=name, pairs=manifest.pairs, input=covered)
                return checkpoint
        return None

    def _complete(self, epoch: EpochStarted) -> Iterator[CheckpointManifest]:
        names = self._names(epoch.epoch)
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
        missing = self._partitions - manifest.covered.input.keys()
        return f"it has no input partition {min(missing)}" if missing else None

    def _names(self, epoch: int) -> list[str]:
        """Return an epoch's checkpoints, the newest first."""
        try:
            return [name for name in reversed(self._store.generations()) if epoch_of(name) == epoch]
        except (OryxError, OSError) as trouble:
            log.warning("checkpoints_unreadable", epoch=epoch, reason=str(trouble), hint="the start takes longer")
            return []


def _leave_out(name: str, reason: object) -> None:
    log.warning(
        "checkpoint_left_out",
        checkpoint=name,
        reason=str(reason).removesuffix(f": {REMEDY}"),
        hint="nothing is lost; the start takes longer",
    )
