"""Puts the batch layer together from the settings, whatever its engine."""

from collections.abc import Callable

import numpy as np

from batch_layer.engine import Cancelled, Engine
from batch_layer.history.base_finder import BaseFinder, no_base
from batch_layer.housekeeping.after_epoch import Housekeeping, Kept
from batch_layer.housekeeping.file_merging import FileMerger
from batch_layer.housekeeping.pruning import Pruner
from batch_layer.housekeeping.row_retention import Limits
from batch_layer.publishing.publisher import Publisher
from batch_layer.recipe import recipe_of
from batch_layer.run.layer import BatchLayer
from batch_layer.run.steps import Parts, Step
from batch_layer.stores import Stored, open_stored
from batch_layer.task_files.store_exchange import StoreExchange
from batch_layer.task_files.work_folder import WorkFolder
from batch_layer.telemetry.metrics import Metrics
from batch_layer.telemetry.progress import OnProgress, unheard
from oryx_py.adapters.clock import SystemClock
from oryx_py.adapters.exact_index import ExactIndex
from oryx_py.adapters.kafka import KafkaAdmin, KafkaConsumer
from oryx_py.adapters.places import Reach, open_files, work_of
from oryx_py.config import Settings
from oryx_py.errors import CommitConflict
from oryx_py.ports import Producer
from oryx_py.runtime.stopping import Stopping

__all__ = ["TAKEN_OVER", "assemble", "base_finder", "publisher_of", "work_folder"]

TAKEN_OVER = "another process took this batch layer for dead, and has begun its work: run it again"
"""What a run is told that has lost its lock."""


def assemble(
    settings: Settings,
    bootstrap: str,
    *,
    engine: Engine,
    producer: Producer,
    metrics: Metrics,
    stopping: Stopping,
    lost: Callable[[], bool] = lambda: False,
    on_progress: OnProgress = unheard,
) -> BatchLayer:
    """Build the layer on Kafka at ``bootstrap``, and on the store and history of the settings.

    Between its steps a run ends where it was asked to stop, or has ``lost`` its lock.

    Raises:
        ConfigError: a place that cannot be used.
    """

    def between_steps(_: Step) -> None:
        if stopping.requested:
            raise Cancelled
        if lost():
            raise CommitConflict(TAKEN_OVER)

    admin, stored = KafkaAdmin(bootstrap, settings.kafka.client), open_stored(settings)
    return BatchLayer(
        Parts(
            registry=stored.registry,
            store=stored.store,
            history=stored.history,
            folder=stored.folder,
            admin=admin,
            publisher=publisher_of(settings, stored, bootstrap, admin, producer),
            engine=engine,
            clock=SystemClock(),
            rng=np.random.default_rng(),
            metrics=metrics,
            build_index=ExactIndex().build,
            tidy=_housekeeping(settings, stored, bootstrap, admin, metrics),
            prune=_pruner(settings, stored, engine),
            find_base=base_finder(settings, stored) or no_base,
            merge=_file_merger(stored, engine),
            on_progress=on_progress,
        ),
        recipe_of(settings.model, settings.batch.trainer, settings.input, settings.batch.test_fraction),
        input_topic=settings.input.topic,
        update_topic=settings.update.topic,
        items_topic=settings.items.topic,
        after_step=between_steps,
    )


def publisher_of(
    settings: Settings, stored: Stored, bootstrap: str, admin: KafkaAdmin, producer: Producer
) -> Publisher:
    """Return what makes epochs of these settings' topics and stores."""
    return Publisher(
        registry=stored.registry,
        store=stored.store,
        producer=producer,
        admin=admin,
        new_consumer=lambda: KafkaConsumer(bootstrap, settings.kafka.client),
        topic=settings.update.topic,
        clock=SystemClock(),
    )


def base_finder(settings: Settings, stored: Stored) -> BaseFinder | None:
    """Return what finds the generation that the next one is folded on; None where the settings say not to."""
    if not settings.history.compacted:
        return None
    return BaseFinder(registry=stored.registry, store=stored.store, history=stored.history, folder=stored.folder)


def work_folder(settings: Settings) -> WorkFolder:
    """Return where runs work: a folder of this host and, where the settings name a place beyond, that one for tasks.

    Raises:
        ConfigError, MissingDependency: that place cannot be used.
    """
    folder, uri = work_of(settings)
    if not uri:
        return WorkFolder(folder)
    reach = Reach(webhdfs_url=settings.hdfs.webhdfs_url, replication=settings.hdfs.replication)
    open_files(uri, "batch.work_dir", reach)
    return WorkFolder(folder, StoreExchange(uri, reach, folder))


def _housekeeping(
    settings: Settings, stored: Stored, bootstrap: str, admin: KafkaAdmin, metrics: Metrics
) -> Housekeeping:
    return Housekeeping(
        registry=stored.registry,
        store=stored.store,
        admin=admin,
        new_consumer=lambda group: KafkaConsumer(bootstrap, settings.kafka.client, group),
        clock=SystemClock(),
        metrics=metrics,
        input_topic=settings.input.topic,
        update_topic=settings.update.topic,
        items_topic=settings.items.topic,
        group_id=settings.speed.group_id,
        kept=Kept(
            trim=settings.batch.trim,
            trim_keep_s=settings.batch.trim_keep_s,
            generations=settings.store.keep_generations,
            overlap_s=settings.speed.epoch_overlap_s,
        ),
        checkpoints=stored.checkpoints,
    )


def _pruner(settings: Settings, stored: Stored, engine: Engine) -> Pruner:
    """Return what is done to the history before a generation is made of it."""
    return Pruner(
        log=stored.history,
        folder=stored.folder,
        engine=engine,
        registry=stored.registry,
        store=stored.store,
        limits=Limits(settings.history.max_age_days, settings.history.max_rows),
        fold=recipe_of(settings.model, settings.batch.trainer, settings.input).fold,
        clock=SystemClock(),
        rng=np.random.default_rng(),
        scratch=WorkFolder(work_of(settings).folder).root,
    )


def _file_merger(stored: Stored, engine: Engine) -> FileMerger:
    """Return what merges the rows' files of days that are over."""
    return FileMerger(
        log=stored.history,
        folder=stored.folder,
        engine=engine,
        store=stored.store,
        clock=SystemClock(),
        rng=np.random.default_rng(),
    )
