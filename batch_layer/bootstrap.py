"""Runs the batch layer on Kafka and Spark as the settings say; and rolls back."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import structlog
from prometheus_client import CollectorRegistry

from batch_layer.assembly import TAKEN_OVER, assemble, publisher_of, work_folder
from batch_layer.engine import Cancelled, Engine
from batch_layer.host.memory import available_bytes
from batch_layer.locking.choice import open_lock
from batch_layer.locking.run_lock import holding
from batch_layer.publishing.rollback import roll_back
from batch_layer.recipe import recipe_of
from batch_layer.run.schedule import ATTEMPTS_ONCE, patiently, repeat
from batch_layer.run.steps import Outcome
from batch_layer.spark.engine import SparkEngine
from batch_layer.spark.fitting import TASK_BYTES, TRAINING_TASKS
from batch_layer.spark.rows.topic_reader import Source
from batch_layer.spark.session.opening import open_session
from batch_layer.spark.session.task_slots import reserved
from batch_layer.stores import open_stored
from batch_layer.telemetry.metrics import Metrics
from batch_layer.telemetry.progress_display import ProgressDisplay
from oryx_py.adapters.clock import SystemClock
from oryx_py.adapters.kafka import KafkaAdmin, KafkaProducer
from oryx_py.config import Settings
from oryx_py.config.checks import conflict_of_publishers
from oryx_py.errors import CommitConflict, ConfigError, Stop, Transient
from oryx_py.local.endpoint import located, resolve_bootstrap
from oryx_py.runtime.health import serve_health
from oryx_py.runtime.stopping import Stopping
from oryx_py.runtime.topics import check_identity, identify

__all__ = ["rollback", "run"]

log = structlog.get_logger("batch")

_CANCEL_EVERY_S = 0.5
_CONFLICTS = 10


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
    shown = ProgressDisplay(metrics, clock)
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
        lock = open_lock(settings, clock)
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
                            raise CommitConflict(TAKEN_OVER) from trouble
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
        publisher = publisher_of(settings, stored, bootstrap, admin, producer)
        for _ in range(_CONFLICTS):
            # A batch layer that runs beside this may have published in between: decide upon the registry anew.
            with suppress(CommitConflict):
                roll_back(stored.registry, stored.store, publisher, generation)
                return 0
    finally:
        producer.close()
    raise CommitConflict("the registry changes all the time: stop the batch layer, then roll back")


def _refuse_other_publishers(settings: Settings) -> None:
    wrong = conflict_of_publishers(settings)
    if wrong:
        raise ConfigError(wrong)


def _spark(settings: Settings) -> dict[str, str]:
    """Spark's properties: what HDFS is asked for outside Spark goes for what Spark writes too."""
    of_hdfs = {"spark.hadoop.dfs.replication": str(settings.hdfs.replication)} if settings.hdfs.replication else {}
    return {**of_hdfs, **settings.batch.spark}


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
