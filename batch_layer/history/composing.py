"""Puts an import together from the settings."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from batch_layer.history.describing import day_of
from batch_layer.history.importing import Imported, Target, import_rows
from batch_layer.history_folder import HistoryFolder
from oryx_py.adapters.clock import SystemClock
from oryx_py.adapters.kafka import KafkaAdmin
from oryx_py.adapters.places import history_log, open_files, open_registry, reach_of
from oryx_py.config import Settings
from oryx_py.local.endpoint import located, resolve_bootstrap
from oryx_py.model.generation import new_generation_name
from oryx_py.model.history import ImportedSource
from oryx_py.runtime.topics import check_identity, identify

__all__ = ["import_into"]


def import_into(
    settings: Settings,
    batches: Iterable[pa.RecordBatch],
    sources: Callable[[], Sequence[ImportedSource]],
    on_rows: Callable[[int], None],
) -> Imported:
    """Import rows into the history of these settings; see `import_rows`.

    The partitions are those of the input topic, which is recorded here if no layer has done so yet.

    Raises:
        TopicsChanged: the topic is not the one that the history belongs to.
        OryxError: broker, store or history do not answer.
    """
    settings = located(settings)
    bootstrap, reach = resolve_bootstrap(settings), reach_of(settings)
    admin = KafkaAdmin(bootstrap, settings.kafka.client)
    registry = open_registry(settings.registry_uri, reach)
    recorded, found = registry.read(), identify(admin, [settings.input.topic, settings.update.topic])
    check_identity(recorded.topics, found)
    if recorded.topics is None:
        registry.append(recorded, [found])
    now_ms = SystemClock().now_ms()
    folder = HistoryFolder(open_files(settings.history_uri, "history.uri", reach))
    directory = folder.new(new_generation_name(now_ms, np.random.default_rng()))

    def put(local: Path, number: int) -> None:
        folder.put(local, f"{directory}/day={day_of(now_ms)}/part-{number:05d}.parquet")
        local.unlink()

    target = Target(
        log=history_log(settings.history_uri, reach),
        put=put,
        settle=lambda: folder.settle(directory),
        partitions=found.topics[settings.input.topic].partitions,
        starts=admin.start_offsets(settings.input.topic),
        time_ms=now_ms,
    )
    return import_rows(batches, sources, target, on_rows=on_rows)
