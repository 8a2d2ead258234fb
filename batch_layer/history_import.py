"""Imports into the history that the settings name, under the lock of runs."""

import time
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pyarrow as pa

from batch_layer.history.importing import Imported, Target, import_rows
from batch_layer.locking.choice import open_lock
from batch_layer.locking.run_lock import holding
from batch_layer.stores import open_stored
from batch_layer.task_files.work_folder import WorkFolder
from oryx_py.adapters.clock import SystemClock
from oryx_py.adapters.kafka import KafkaAdmin
from oryx_py.adapters.places import work_of
from oryx_py.config import Settings
from oryx_py.local.endpoint import located, resolve_bootstrap
from oryx_py.model.generations.generation import new_generation_name
from oryx_py.model.history.commits import ImportedSource
from oryx_py.runtime.topics import check_identity, identify

__all__ = ["import_into"]


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
    lock = open_lock(settings, clock)
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
