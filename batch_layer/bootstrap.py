"""Puts the batch layer together from the settings, and runs it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import numpy as np
import structlog
from prometheus_client import CollectorRegistry

from batch_layer.engine import Cancelled, Engine
from batch_layer.exchange import StoreExchange
from batch_layer.history.composing import base_finder, file_merger, reshaper
from batch_layer.history.finding import no_base
from batch_layer.housekeeping import Housekeeping, Kept
from batch_layer.layer import BatchLayer
from batch_layer.lock import holding
from batch_layer.locking import run_lock
from batch_layer.memory import available_bytes
from batch_layer.metrics import Metrics
from batch_layer.progress import OnProgress, unheard
from batch_layer.publish import Publisher
from batch_layer.recipe import recipe_of
from batch_layer.rolling_back import roll_back
from batch_layer.service import ATTEMPTS_ONCE, patiently, repeat
from batch_layer.showing import Shown
from batch_layer.spark.engine import SparkEngine
from batch_layer.spark.fitting import TASK_BYTES, TRAINING_TASKS
from batch_layer.spark.reader import Source
from batch_layer.spark.session import open_session
from batch_layer.spark.slots import reserved
from batch_layer.steps import Outcome, Parts, Step
from batch_layer.stored import Stored, open_stored
from batch_layer.work_folder import WorkFolder
from oryx_py.adapters.clock import SystemClock
from oryx_py.adapters.exact_index import ExactIndex
from oryx_py.adapters.kafka import KafkaAdmin, KafkaConsumer, KafkaProducer
from oryx_py.adapters.places import Reach, open_files, work_of
from oryx_py.config import Settings
from oryx_py.config.checks import conflict_of_publishers
from oryx_py.errors import CommitConflict, ConfigError, Stop, Transient
from oryx_py.local.endpoint import located, resolve_bootstrap
from oryx_py.ports import Producer
from oryx_py.runtime.health import serve_health
from oryx_py.runtime.stopping import Stopping
from oryx_py.runtime.topics import check_identity, identify

__all__ = ["assemble", "rollback", "run", "work_folder"]

log = structlog.get_logger("batch")

_CANCEL_EVERY_S = 0.5
_CONFLICTS = 10
_TAKEN_OVER = "another process took this batch layer for dead, and has begun its work: run it again"


def run(
    settings: Settings, stopping: Stopping, *, once: bool = False, force: bool = False, patient: bool = True
) -> int:
    """Run the batch layer, once or at its interval until it is asked to stop; returns the exit code.

    Args:
        settings: all of them.
        stopping: ends a run wherever it is, within seconds; the next run goes on from there.
        once: one run, then return.
        force: train in the first run also where a generation covers all input.
        patient: wait while another batch layer is in a run of its own, instead of refusing.

    Raises:
        OryxError: it cannot begin or go on; the message says what to do.
    """
    _refuse_other_publishers(settings)
    registry = CollectorRegistry()
    metrics, wait, clock = Metrics(registry), stopping.wait, SystemClock()
    shown = Shown(metrics, clock)
    attempts = ATTEMPTS_ONCE if once else None
    where = patiently(
        lambda: (resolve_bootstrap(settings), located(settings)), wait=wait, metrics=metrics, attempts=attempts
    )
    if where is None:
        return 0
    bootstrap, settings = where
    work = work_folder(settings)
    engine = SparkEngine(
        Source(settings.input.topic, bootstrap, settings.kafka.client),
        recipe_of(settings.model, settings.batch.trainer, settings.input, settings.batch.test_fraction),
        work=work,
        on_progress=shown.report,
        start=lambda: open_session(
            settings.batch.spark_master,
            {
                TRAINING_TASKS: settings.batch.training_tasks,
                TASK_BYTES: str(settings.batch.task_memory_bytes),
                **reserved(settings.batch.spark_master, available_bytes()),
                **_spark(settings),
            },
            settings.local_dir / "spark.log",
            work.for_spark(),
        ),
    )
    producer = KafkaProducer(bootstrap, settings.kafka.client)
    host, port = settings.batch.metrics_host, settings.batch.metrics_port
    # A single run is also made beside a layer at its interval, which has the address.
    health = serve_health("batch", host, port, ready=list, registry=registry, optional=once)
    try:
        lock = run_lock(settings, clock)
        layer = assemble(
            settings,
            bootstrap,
            engine=engine,
            producer=producer,
            metrics=metrics,
            stopping=stopping,
            lost=lock.lost,
            on_progress=shown.report,
        )

        def run_layer(force: bool) -> Outcome:
            with holding(lock, clock, wait=wait, patient=patient) as held:
                if not held:
                    raise Cancelled
                with shown.live():
                    try:
                        return layer.run(force=force)
                    except Cancelled:
                        if not lock.lost():  # else it is another's that would be swept
                            with suppress(Transient):
                                layer.sweep()
                        raise
                    except Stop as trouble:
                        # Input that was trimmed meanwhile, generations that were deleted: nobody has to act.
                        if lock.lost():
                            raise CommitConflict(_TAKEN_OVER) from trouble
                        raise

        with _cancelled_by(stopping, engine):
            if once:
                patiently(lambda: run_layer(force), wait=wait, metrics=metrics, attempts=attempts)
            else:
                interval_s = settings.batch.interval_s
                repeat(run_layer, force=force, interval_s=interval_s, clock=clock, wait=wait, metrics=metrics)
    finally:
        engine.close()
        producer.close()
        health.close()
    return 0


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
            raise CommitConflict(_TAKEN_OVER)

    admin, stored = KafkaAdmin(bootstrap, settings.kafka.client), open_stored(settings)
    return BatchLayer(
        Parts(
            registry=stored.registry,
            store=stored.store,
            history=stored.history,
            folder=stored.folder,
            admin=admin,
            publisher=_publisher(settings, stored, bootstrap, admin, producer),
            engine=engine,
            clock=SystemClock(),
            rng=np.random.default_rng(),
            metrics=metrics,
            build_index=ExactIndex().build,
            tidy=_housekeeping(settings, stored, bootstrap, admin, metrics),
            reshape=reshaper(settings, stored, engine),
            find_base=base_finder(settings, stored) or no_base,
            merge=file_merger(stored, engine),
            on_progress=on_progress,
        ),
        recipe_of(settings.model, settings.batch.trainer, settings.input, settings.batch.test_fraction),
        input_topic=settings.input.topic,
        update_topic=settings.update.topic,
        items_topic=settings.items.topic,
        after_step=between_steps,
    )


def rollback(settings: Settings, generation: str | None = None) -> int:
    """Make an earlier generation live again, in a new epoch; returns the exit code.

    Args:
        settings: all of them.
        generation: None for the one that was live before the present one.

    Raises:
        UserError: there is no such generation.
        OryxError: broker or store do not answer, or the topics are not the recorded ones.
    """
    _refuse_other_publishers(settings)
    settings = located(settings)
    bootstrap, client = resolve_bootstrap(settings), settings.kafka.client
    stored = open_stored(settings)
    admin = KafkaAdmin(bootstrap, client)
    producer = KafkaProducer(bootstrap, client)
    try:
        recorded = stored.registry.read().topics
        check_identity(recorded, identify(admin, [settings.input.topic, settings.update.topic]))
        publisher = _publisher(settings, stored, bootstrap, admin, producer)
        for _ in range(_CONFLICTS):
            # A batch layer that runs beside this may have published in between: decide upon the registry anew.
            with suppress(CommitConflict):
                roll_back(stored.registry, stored.store, publisher, generation)
                return 0
    finally:
        producer.close()
    raise CommitConflict("the registry changes all the time: stop the batch layer, then roll back")


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


def _refuse_other_publishers(settings: Settings) -> None:
    wrong = conflict_of_publishers(settings)
    if wrong:
        raise ConfigError(wrong)


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


def _spark(settings: Settings) -> dict[str, str]:
    """Spark's properties: what HDFS is asked for outside Spark goes for what Spark writes too."""
    of_hdfs = {"spark.hadoop.dfs.replication": str(settings.hdfs.replication)} if settings.hdfs.replication else {}
    return {**of_hdfs, **settings.batch.spark}


def _publisher(settings: Settings, stored: Stored, bootstrap: str, admin: KafkaAdmin, producer: Producer) -> Publisher:
    return Publisher(
        registry=stored.registry,
        store=stored.store,
        producer=producer,
        admin=admin,
        new_consumer=lambda: KafkaConsumer(bootstrap, settings.kafka.client),
        topic=settings.update.topic,
        clock=SystemClock(),
    )


@contextmanager
def _cancelled_by(stopping: Stopping, engine: Engine) -> Iterator[None]:
    """End the engine's work when the process is asked to stop: the thread that runs it waits inside Spark."""
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            if stopping.wait(_CANCEL_EVERY_S):
                engine.cancel()
                over.wait(_CANCEL_EVERY_S)  # what begins in between is ended next time

    watcher = threading.Thread(target=watch, name="cancel", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
