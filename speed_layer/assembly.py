"""Puts the speed layer together for generations of our own, as a start finds them."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

import structlog

from oryx_py.adapters.commit_logs.registry_log import RegistryLog
from oryx_py.config import Settings
from oryx_py.errors import CorruptGeneration, TopicsChanged, UnsupportedFormat
from oryx_py.model.epochs.announcements import epochs_to_hold
from oryx_py.model.epochs.registry import EpochStarted, TopicsIdentity
from oryx_py.ports import ArtefactStore, Clock, Consumer, Producer, TopicAdmin
from oryx_py.runtime.checkpoints import Checkpoints
from oryx_py.runtime.gaps import Gaps
from oryx_py.runtime.log_or_history import Past
from oryx_py.runtime.machine import memory_bytes
from oryx_py.runtime.restored import Together
from oryx_py.runtime.topics import check_identity, identify, partitions_of
from speed_layer.checkpoints.writer import Writer
from speed_layer.epochs.repeats import Repeats
from speed_layer.epochs.run import EpochRun
from speed_layer.layer import SpeedLayer
from speed_layer.limits import Limits, Topics
from speed_layer.loading.earlier_announcements import announced_until_now
from speed_layer.loading.epoch_loader import EpochLoader
from speed_layer.publishing.dead_letters import DeadLetters
from speed_layer.publishing.outbox import Outbox
from speed_layer.sharing.claiming import Ownership, Part, claim
from speed_layer.sharing.fence import Fence
from speed_layer.solving.compiling import compile_kernel
from speed_layer.solving.user_solver import UserSolver
from speed_layer.telemetry.metrics import Metrics

__all__ = ["assemble"]

log = structlog.get_logger("speed")


def assemble(
    settings: Settings,
    *,
    admin: TopicAdmin,
    producer: Producer,
    new_consumer: Callable[[str | None], Consumer],
    store: ArtefactStore,
    registry: RegistryLog,
    clock: Clock,
    stopping: Callable[[], bool],
    loader: ThreadPoolExecutor,
    metrics: Metrics,
    past: Past | None = None,
    checkpoints: ArtefactStore | None = None,
    writer: Callable[[Mapping[int, Together], Ownership], Writer] | None = None,
    part: Part | None = None,
) -> SpeedLayer:
    """Build the layer as a start finds it: registry first, then the fence, what was announced, and the epochs held.

    Args:
        settings: all of them.
        admin, producer, store, registry, clock: the ports.
        new_consumer: makes a consumer whose commits go to this group, or nowhere.
        stopping: whether the process is asked to stop.
        loader: where it is looked for later generations, and these are loaded.
        metrics: what is counted.
        past: has the input that was trimmed; None where nothing has it.
        checkpoints: what other processes, or this one before, have written of epochs; None for none.
        writer: makes who writes them, given by epoch those begun with, and the process's ownership; None for nobody.
        part: what of the input is this process's, which then tells others what they need of it; None for all of it,
            claimed here, where there are no others.

    Raises:
        Transient: broker or store do not answer.
        Stop: somebody has to act.
    """
    compile_kernel()
    topic = settings.input.topic
    known = registry.read()
    items = settings.items.topic
    topics = _topics(settings, admin, known.topics, shares=part is not None)
    partitions = range(topics.input_partitions)
    mine = frozenset(partitions) if part is None else part.partitions
    reader = Checkpoints(checkpoints, store, partitions) if checkpoints is not None else None
    overlap_s = settings.speed.epoch_overlap_s
    outbox = Outbox(producer, stopping)
    if part is None:
        new_group: Callable[[], Consumer] = partial(new_consumer, settings.speed.group_id)
        ownership = claim(new_group, admin, items, topics.update, mine)
    else:
        new_group, ownership = part.new_group, part.ownership
    term = ownership.term
    fence = Fence(outbox, topics.update, topics.update_partitions, term, mine)
    fence.raise_in(known.epochs[-1].epoch if known.epochs else 0)
    announcements = announced_until_now(
        known.epochs, topics, admin=admin, new_consumer=new_consumer, clock=clock, reader=reader, overlap_s=overlap_s
    )
    new_solver = partial(
        UserSolver,
        kind=settings.speed.solver,
        cache_bytes=min(settings.speed.solver_cache_bytes, memory_bytes()),
        counting=metrics,
    )

    gaps = Gaps(topic, admin, metrics.lost.inc) if settings.speed.allow_gap else None
    opened = EpochLoader(
        settings,
        topics,
        mine,
        part is not None,
        admin,
        new_consumer,
        store,
        clock,
        past,
        reader,
        announcements,
        fence,
        new_solver,
        gaps,
    )

    def load_aside(started: EpochStarted, known: Repeats | None) -> "Future[EpochRun]":
        return loader.submit(opened.load, started, known)

    held = epochs_to_hold(
        known.epochs,
        announcements,
        partitions,
        now_ms=clock.now_ms(),
        overlap_s=overlap_s,
    )
    limits = Limits(
        max_batch_records=settings.speed.max_batch_records,
        replay_slice_users=settings.speed.replay_users,
        stale_solves=settings.speed.stale_solves,
        stale_pairs=settings.speed.stale_pairs,
        item_states=settings.speed.item_states,
        epoch_overlap_s=overlap_s,
    )
    with ExitStack() as undo:
        runs = _loaded(held, partial(opened.load, at_start=True), undo)
        group = new_group()
        undo.callback(group.close)
        layer = SpeedLayer(
            topics=topics,
            limits=limits,
            runs=runs,
            newest_epoch=runs[-1].started.epoch if runs else 0,
            registry=known,
            read_registry=partial(loader.submit, registry.read),
            load=load_aside,
            input_end=lambda: admin.end_offsets(topic),
            dead_letters=DeadLetters(
                group,
                topic=topic,
                start={p: offset for p, offset in admin.start_offsets(topic).items() if p in mine},
                partitions=topics.input_partitions,
                dead_letter_topic=settings.dead_letter_topic,
                clock=clock,
                trimmed=None if past is None else partial(_trimmed, admin, topic, past),
                gaps=gaps,
            ),
            outbox=outbox,
            clock=clock,
            metrics=metrics,
            checkpoints=writer(opened.begun, ownership) if writer is not None else None,
            term=term,
            confirm=partial(ownership.confirm_by, group) if part is None else None,
            partitions=mine,
        )
        undo.pop_all()  # from here on the layer closes what it has
    return layer


def _trimmed(admin: TopicAdmin, topic: str, past: Past) -> dict[int, int]:
    """Return by partition where the topic begins, of those of which the history has all below."""
    has = past.offsets()
    return {p: first for p, first in admin.start_offsets(topic).items() if first <= has.get(p, 0)}


def _topics(settings: Settings, admin: TopicAdmin, recorded: TopicsIdentity | None, *, shares: bool) -> Topics:
    """Look the topics up; refuse others than the store belongs to, and an item topic that cannot be shared along."""
    topic, items = settings.input.topic, settings.items.topic
    check_identity(recorded, identify(admin, [topic, settings.update.topic, *([items] if shares else [])]))
    count = partitions_of(admin, topic)
    if shares and (of_items := partitions_of(admin, items)) != count:
        raise TopicsChanged(f"{items} has {of_items} partitions, {topic} {count}: their counts have to be equal")
    return Topics(
        input=topic,
        input_partitions=count,
        update=settings.update.topic,
        update_partitions=partitions_of(admin, settings.update.topic),
        max_record_bytes=settings.input.max_record_bytes,
        items=items,
    )


def _loaded(held: Sequence[EpochStarted], load: Callable[[EpochStarted], EpochRun], undo: ExitStack) -> list[EpochRun]:
    """Load what can be loaded; the layer itself tries the newest again, and says so in its readiness."""
    runs: list[EpochRun] = []
    for started in held:
        try:
            runs.append(load(started))
            undo.callback(runs[-1].close)
        except (CorruptGeneration, UnsupportedFormat) as trouble:
            log.error("generation_refused", epoch=started.epoch, generation=started.generation, reason=str(trouble))
    return runs
