"""Puts together from the settings what works on the history as a whole."""

import time
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pyarrow as pa

from batch_layer.engine import Engine
from batch_layer.history.file_merging import FileMerger
from batch_layer.history.finding import BaseFinder
from batch_layer.history.importing import Imported, Target, import_rows
from batch_layer.history.reshaping import Reshaper
from batch_layer.history.retention import Limits
from batch_layer.lock import holding
from batch_layer.locking import run_lock
from batch_layer.recipe import recipe_of
from batch_layer.stored import Stored, open_stored
from batch_layer.work_folder import WorkFolder
from oryx_py.adapters.clock import SystemClock
from oryx_py.adapters.kafka import KafkaAdmin
from oryx_py.adapters.places import work_of
from oryx_py.config import Settings
from oryx_py.local.endpoint import located, resolve_bootstrap
from oryx_py.model.generation import new_generation_name
from oryx_py.model.history import ImportedSource
from oryx_py.runtime.topics import check_identity, identify

__all__ = ["base_finder", "file_merger", "import_into", "reshaper"]


def base_finder(settings: Settings, stored: Stored) -> BaseFinder | None:
    """Return what finds the generation that the next one is folded on; None where the settings say not to."""
    if not settings.history.compacted:
        return None
    return BaseFinder(registry=stored.registry, store=stored.store, history=stored.history, folder=stored.folder)


def reshaper(settings: Settings, stored: Stored, engine: Engine) -> Reshaper:
    """Return what is done to the history before a generation is made of it."""
    return Reshaper(
        log=stored.history,
        folder=stored.folder,
        engine=engine,
        registry=stored.registry,
        store=stored.store,
        limits=Limits(settings.history.max_age_days, settings.history.max_rows),
        fold=recipe_of(settings.model, settings.batch.trainer, settings.input).fold,
        clock=SystemClock(),
        rng=np.random.default_rng(),
    )


def file_merger(stored: Stored, engine: Engine) -> FileMerger:
    """Return what merges the rows' files of days that are over."""
    return FileMerger(
        log=stored.history,
        folder=stored.folder,
        engine=engine,
        store=stored.store,
        clock=SystemClock(),
        rng=np.random.default_rng(),
    )


def import_into(
    settings: Settings,
    batches: Iterable[pa.RecordBatch],
    sources: Sequence[ImportedSource],
    *,
    again: bool,
    on_rows: Callable[[int], None],
) -> Imported:
    """Import rows into the history of these settings; see `import_rows`.

    Waits while the batch layer is in a run, which would take the files for rubbish. The partitions are those of the
    input topic, which is recorded here if no layer has done so yet.

    Raises:
        TopicsChanged: the topic is not the one that the history belongs to.
        CommitConflict: another process took this one for dead meanwhile; nothing was imported.
        OryxError: broker, store or history do not answer.
    """
    settings = located(settings)
    admin, stored = KafkaAdmin(resolve_bootstrap(settings), settings.kafka.client), open_stored(settings)
    recorded, found = stored.registry.read(), identify(admin, [settings.input.topic, settings.update.topic])
    check_identity(recorded.topics, found)
    if recorded.topics is None:
        stored.registry.append(recorded, [found])
    clock = SystemClock()
    lock = run_lock(settings, clock)
    with holding(lock, clock, wait=_sleep, patient=True):
        now_ms, scratch = clock.now_ms(), WorkFolder(work_of(settings).folder)
        scratch.sweep()  # also where no run ever is
        target = Target(
            log=stored.history,
            folder=stored.folder,
            name=new_generation_name(now_ms, np.random.default_rng()),
            partitions=found.topics[settings.input.topic].partitions,
            starts=admin.start_offsets(settings.input.topic),
            time_ms=now_ms,
            lost=lock.lost,
            scratch=scratch.root,
        )
        return import_rows(batches, sources, target, again=again, on_rows=on_rows)


def _sleep(seconds: float) -> bool:
    """Wait; Ctrl-C is what ends it."""
    time.sleep(seconds)
    return False
