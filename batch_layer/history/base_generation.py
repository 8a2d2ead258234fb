"""Folding on from an earlier generation: compacted history is what a generation has anyway.

A generation's own files have every pair with its folded strength, sorted by user and item. Under the same settings a
pair's strength after more rows is a function of that one and of these rows, to the bit, so the next generation reads
only the rows that came since. The rows stay the truth: where no generation will do, all of them are read. Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from oryx_py.events.fold import FoldSettings
from oryx_py.model.generations.manifest import Manifest
from oryx_py.model.history.commits import History, HistoryCommit, HistoryFile

__all__ = ["Base", "base_files", "choose", "compacted_state", "in_window", "is_made_of", "new_since", "reached"]

_WORTH_IT = 2
"""A base is taken where all rows are at least so many times those that are new: routing new rows costs more a row."""


@dataclass(frozen=True, slots=True)
class Base:
    """A generation whose pairs are folded on.

    ``path``: where its files are, also for tasks. ``manifest``: its own. ``new``: URIs of the files with rows since,
    which have ``new_rows`` rows. ``window``: URIs of earlier files, in which the IDs are that new rows may repeat.
    """

    path: Path
    manifest: Manifest
    new: tuple[str, ...]
    new_rows: int
    window: tuple[str, ...]


def base_files() -> list[str]:
    """Return the files of a generation that are read for folding on."""
    ids = [f"{side}.ids.{part}.npy" for side in ("users", "items") for part in ("offsets", "bytes", "hashes", "rows")]
    return [*ids, *(f"users.history.{part}.npy" for part in ("indptr", "indices", "strengths"))]


def choose(manifests: Iterable[Manifest], history: History, fold: FoldSettings) -> Manifest | None:
    """Return the generation of the most history that can be folded on, None for none.

    Args:
        manifests: of the generations in the store.
        history: as it is now.
        fold: the settings of the generation that is to be made. Where ages count, no strength follows from an older.
    """
    if fold.reads_time:
        return None
    usable = [each for each in manifests if _is_before(each, history) and each.fold == fold]
    best = max(usable, key=lambda manifest: manifest.history, default=None)
    if best is None:
        return None
    rows = sum(file.rows for file in new_since(best.history, history))
    return best if rows * _WORTH_IT <= history.rows else None


def _is_before(manifest: Manifest, history: History) -> bool:
    """Whether the history is that of the generation, with nothing but new rows behind it, in files of their own."""
    covered, made_of = manifest.next_offsets.items(), manifest.history
    return (
        max(1, history.refolded) <= made_of <= history.number
        and all(end <= history.offsets.get(partition, -1) for partition, end in covered)
        and not any(file.first_commit <= made_of < file.origin for file in history.files)
    )


def is_made_of(manifest: Manifest, history: History, later: Iterable[HistoryCommit]) -> bool:
    """Say whether a generation was made of this history as of its commit.

    It was not where the history was brought back from a copy and went on otherwise, under numbers that it had before:
    what came between the copy and the generation then stands in commits that the generation seems to have.

    Args:
        manifest: of the generation.
        history: as it is now.
        later: the commits after the one that the generation names.
    """
    if manifest.history > history.number:
        return False
    ends = dict(history.offsets)
    for commit in sorted(later, key=lambda commit: commit.number, reverse=True):
        ends |= {partition: start for partition, (start, _) in commit.input.items()}
    return all(manifest.next_offsets.get(p, history.start[p]) == end for p, end in ends.items())


def new_since(commit: int, history: History) -> list[HistoryFile]:
    """Return the files with rows of later commits; one that was merged may have earlier ones, too."""
    return [file for file in history.files if file.origin > commit]


def in_window(base: Manifest, history: History, first: int) -> list[HistoryFile]:
    """Return the files that a base covers and that may have IDs which later rows repeat, and earlier rows as well.

    Args:
        base: of the generation.
        history: as it is now.
        first: the commit that `reached` found.
    """
    return [
        file for file in history.files if first <= file.origin <= base.history and file.origin not in history.imports
    ]


def reached(commits: Sequence[HistoryCommit], offsets: Mapping[int, int]) -> int | None:
    """Return the last commit that begins at or below all these offsets, None where all of them begin above.

    Args:
        commits: the newest ones, ascending.
        offsets: by partition.
    """
    waiting = dict(offsets)
    for commit in reversed(commits):
        for partition, (start, _) in commit.input.items():
            if start <= waiting.get(partition, -1):
                del waiting[partition]
        if not waiting:
            return commit.number
    return None


def compacted_state(history: History, manifest: Manifest | None) -> str:
    """Return in words how much of the history a generation has folded already.

    Args:
        history: as it is now.
        manifest: of the generation that the next one is folded on, None for none.
    """
    if manifest is None:
        return "none to fold on: the next generation reads all rows"
    rows = sum(file.rows for file in new_since(manifest.history, history))
    return f"{manifest.counts.pairs:,} in generation {manifest.generation}, {rows:,} rows since"
