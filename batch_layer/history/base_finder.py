"""Finds the generation that the next one is folded on."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import structlog

from batch_layer.history.base_generation import Base, base_files, choose, in_window, is_made_of, new_since, reached
from batch_layer.history.folder import HistoryFolder
from oryx_py.adapters.commit_logs.history_log import HistoryLog
from oryx_py.adapters.commit_logs.registry_log import RegistryLog
from oryx_py.errors import CorruptGeneration, OryxError
from oryx_py.events.fold import FoldSettings
from oryx_py.model.files import check_content, check_size
from oryx_py.model.generations.manifest import Manifest
from oryx_py.model.history.commits import History
from oryx_py.ports import ArtefactStore

__all__ = ["BaseFinder", "FindBase", "first_in_window", "no_base"]

log = structlog.get_logger("batch")

_COMMITS_AT_ONCE = 64
_OF_ANOTHER = "the history was brought back from a copy, and has gone on otherwise, since it was made"

FindBase: TypeAlias = Callable[[History, FoldSettings], Base | None]
"""What there is to fold on for a generation of this history by these settings; None where all rows are to be read."""


def no_base(_history: History, _fold: FoldSettings) -> None:
    """Say that all rows are to be read."""


class BaseFinder:
    """Says what there is to fold on.

    Whatever is wrong with a generation costs time and nothing else: all rows are read then.

    Args:
        registry, store: where generations are.
        history: the commits.
        folder: the rows' files.
    """

    def __init__(
        self, *, registry: RegistryLog, store: ArtefactStore, history: HistoryLog, folder: HistoryFolder
    ) -> None:
        self._registry, self._store = registry, store
        self._history, self._folder = history, folder

    def __call__(self, history: History, fold: FoldSettings) -> Base | None:
        """Return the base for a generation of this history by these settings, None where all rows have to be read.

        Raises:
            StoreUnavailable: try again.
        """
        manifest = self.chosen(history, fold)
        if manifest is None:
            return None
        try:
            path = self._store.local(manifest.generation)
            for name in base_files():
                check_size(path / name, manifest.files[name])
                check_content(path / name, manifest.files[name])
        except (CorruptGeneration, KeyError) as trouble:
            log.warning("all_rows_are_read", generation=manifest.generation, reason=str(trouble))
            return None
        new = new_since(manifest.history, history)
        starts = {partition: offset for partition, (offset, _) in manifest.dedupe_from.items()}
        first = first_in_window(self._history, starts, manifest.history)
        return Base(
            path=path,
            manifest=manifest,
            new=tuple(self._folder.uris(new)),
            new_rows=sum(file.rows for file in new),
            window=tuple(self._folder.uris(in_window(manifest, history, first))) if manifest.dedupe_from else (),
        )

    def chosen(self, history: History, fold: FoldSettings) -> Manifest | None:
        """Return the generation that would be folded on, its files unchecked."""
        found = self._manifests()
        while (best := choose(found, history, fold)) is not None:
            if is_made_of(best, history, self._history.commits(after=best.history)):
                return best
            log.warning("not_folded_on", generation=best.generation, reason=_OF_ANOTHER)
            found.remove(best)
        return None

    def _manifests(self) -> list[Manifest]:
        registry, found = self._registry.read(), []
        for name in self._store.generations():
            if registry.state(name) in {None, "rejected"}:
                continue
            try:
                found.append(self._store.manifest(name))
            except OryxError as trouble:
                log.info("not_folded_on", generation=name, reason=str(trouble))
        return found


def first_in_window(log: HistoryLog, offsets: Mapping[int, int], last: int) -> int:
    """Return the newest commit at which, or after which, all rows from these offsets on came.

    Args:
        log: the commits, of which the newest are read.
        offsets: by partition.
        last: the commit up to which is looked.
    """
    start = last
    while start > 0:
        start = max(0, start - _COMMITS_AT_ONCE)
        found = reached([commit for commit in log.commits(after=start) if commit.number <= last], offsets)
        if found is not None:
            return found
    return 1
