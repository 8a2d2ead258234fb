"""What several checkpoints of an epoch say together, each of its input partitions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from oryx_py.events.dedupe import IdWindow
from oryx_py.messages import Progress
from oryx_py.model.checkpoints.checkpoint_files import Checkpoint, CheckpointManifest, Covered
from oryx_py.model.checkpoints.merging import Piece, merged
from oryx_py.model.epochs.announcements import Announcements
from oryx_py.model.generations.generation import Generation
from oryx_py.model.state.changes import StateChanges
from oryx_py.model.state.item_states import StateRows

__all__ = ["Restored", "Taken", "Together", "restored", "seeded", "together"]


@dataclass(frozen=True, slots=True)
class Together:
    """Up to where the checkpoints of an epoch go together, when the newest of them was taken, and its name."""

    epoch: int
    created_ms: int
    covered: Covered
    newest: str


@dataclass(frozen=True, slots=True, eq=False)
class Restored:
    """What an epoch's state begins with.

    Attributes:
        known: up to where it goes; a partition that no checkpoint has is not in it.
        changes: of the state.
        ids: by input partition, the keys that may still be repeated.
        states: of items, as each checkpoint has them, with the partitions whose items' states are taken from it.
        others: input partitions whose users are in the state without being wanted, with the terms of their writers:
            what they say of items is known by them alone.
    """

    known: Together
    changes: StateChanges
    ids: Mapping[int, IdWindow]
    states: Sequence[tuple[StateRows, frozenset[int]]]
    others: Mapping[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """A checkpoint, the wanted partitions that are taken from it, and others that come along."""

    checkpoint: Checkpoint
    wanted: frozenset[int]
    others: frozenset[int]


def seeded(announcements: Announcements, known: Together) -> Announcements:
    """Add what had been announced of an epoch when its checkpoints were taken."""
    covered = known.covered
    live = dict.fromkeys(covered.live, True)
    announced = covered.input if covered.announced is None else covered.announced
    announcements.add(Progress(dict(announced), live, known.epoch), known.created_ms)
    announcements.seed(covered.terms)
    return announcements


def restored(epoch: int, generation: Generation, partitions: int, taken: Sequence[Taken]) -> Restored:
    """Return what is in these checkpoints of one epoch, given the number of input partitions."""
    of_partition = {p: part.checkpoint.manifest for part in taken for p in part.wanted}
    # The one that has heard most comes last: of items its word counts.
    ordered = sorted(taken, key=lambda part: sum(part.checkpoint.manifest.covered.update.values()))
    pieces = [
        Piece(part.checkpoint.changes, None if users == part.checkpoint.manifest.covered.input.keys() else users)
        for part in ordered
        for users in [part.wanted | part.others]
    ]
    return Restored(
        together(epoch, of_partition),
        merged(pieces, generation, partitions),
        {p: ids[p] for part in taken for ids in [part.checkpoint.ids] for p in ids.keys() & part.wanted},
        [(part.checkpoint.states, part.wanted) for part in taken if part.checkpoint.states is not None],
        {p: part.checkpoint.manifest.covered.terms.get(p, -1) for part in taken for p in part.others},
    )


def together(epoch: int, of_partition: Mapping[int, CheckpointManifest]) -> Together:
    """Return what is covered where each input partition comes from its own checkpoint."""
    manifests = list({manifest.checkpoint: manifest for manifest in of_partition.values()}.values())
    all_covered = [manifest.covered for manifest in manifests]
    taken = sorted(of_partition.items())
    told = {
        p: manifest.covered.input if manifest.covered.announced is None else manifest.covered.announced
        for p, manifest in taken
    }
    covered = Covered(
        input={p: manifest.covered.input[p] for p, manifest in taken},
        live=[p for p, manifest in taken if p in manifest.covered.live],
        update={u: min(covered.update[u] for covered in all_covered) for u in all_covered[0].update},
        item={p: manifest.covered.item[p] for p, manifest in taken if p in manifest.covered.item},
        terms=_lowest(covered.terms for covered in all_covered) | _own(of_partition),
        announced={p: offsets[p] for p, offsets in told.items() if p in offsets},
        said=_highest(covered.said for covered in all_covered),
    )
    newest = max(manifest.checkpoint for manifest in manifests)
    return Together(epoch, max(manifest.created_ms for manifest in manifests), covered, newest)


def _own(of_partition: Mapping[int, CheckpointManifest]) -> dict[int, int]:
    """Of each partition the term of its checkpoint's writer: all that owners before it said of users is in there.

    Not a later one that another has heard of: what this writer said after its checkpoint is read from the topic.
    """
    return {p: m.covered.terms[p] for p, m in of_partition.items() if p in m.covered.terms}


def _lowest(terms: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """What all have heard of a partition: reading begins where one of them has heard no more."""
    found = list(terms)
    return {p: min(of_partition[p] for of_partition in found) for p in set.intersection(*map(set, found))}


def _highest(terms: Iterable[Mapping[int, int]]) -> dict[int, int]:
    found: dict[int, int] = {}
    for of_partition in terms:
        found |= {p: max(term, found.get(p, -1)) for p, term in of_partition.items()}
    return found
