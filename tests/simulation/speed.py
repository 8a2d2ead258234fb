"""The speed layer as a process."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from oryx_py.errors import ConfigError, OryxError, Replaced, Transient
from oryx_py.ports import Consumer
from oryx_py.runtime.restored import Together
from speed_layer.assembly import assemble
from speed_layer.checkpoints.checkpointing import Checkpointing
from speed_layer.epochs.run import Phase
from speed_layer.group_member import GroupMember, MemberConsumer
from speed_layer.layer import SpeedLayer
from speed_layer.sharing.claiming import Ownership, Part, claim
from speed_layer.telemetry.metrics import Metrics
from tests.simulation.checkpointing import checkpointing
from tests.simulation.ports import Ports, SimMembership
from tests.simulation.process import Action, Failure, Killed, Process

__all__ = ["SpeedProcess"]


class _NobodyAsks(CollectorRegistry):
    """A registry that keeps nothing of what is made in it: to keep it takes half of the time to make it."""

    def register(self, collector: Collector) -> None:
        pass


class Loader:
    """Does what it is given when the world says so; in the place of a thread."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]] = []

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Take a call."""
        future: Future[Any] = Future()
        self.waiting.append((future, function, arguments))
        return future

    def shutdown(self, *, wait: bool, cancel_futures: bool) -> None:
        """Let go of what has not begun; nothing is ever half done."""
        self.waiting.clear()

    def work(self) -> None:
        """Do what was given first, if it was not let go of."""
        if not self.waiting:
            return
        future, function, arguments = self.waiting.pop(0)
        try:
            result = function(*arguments)
        except OryxError as error:
            future.set_exception(error)
        else:
            future.set_result(result)


class SpeedProcess(Process):
    """`speed_layer.bootstrap`, step by step; its slot's name is its own in the group."""

    def __init__(self, world: Any, name: str) -> None:
        super().__init__(world, name)
        self._ports = Ports(self)
        self._loader = Loader()
        self._writers: list[Loader] = []
        """The threads of who writes checkpoints."""
        self._metrics = Metrics(_NobodyAsks())
        self.running: GroupMember | SpeedLayer | None = None

    @property
    def partitions(self) -> frozenset[int]:
        """The input partitions that it has."""
        return frozenset(partition for layer in self.layers for partition in layer.partitions)

    @property
    def layers(self) -> list[SpeedLayer]:
        """Its layers."""
        if isinstance(self.running, GroupMember):
            return self.running.layers
        return [] if self.running is None else [self.running]

    @property
    def is_at_work(self) -> bool:
        """Whether it has not all that it is to have, or has yet to say something of what it has."""
        if self.running is None or (isinstance(self.running, GroupMember) and self.running.loads):
            return True
        runs = [run for layer in self.layers for run in layer.runs]
        return any(run.phase is not Phase.FOLLOW or run.busy for run in runs)

    def actions(self) -> list[Action]:
        """Start; or do a round, or what the loader's thread has to do."""
        if self.running is None:
            return [(3.0, "start", self._start)]
        threads = [("load", self._loader), *(("checkpoint", thread) for thread in self._writers)]
        return [(6.0, "step", self._step), *((3.0, word, thread.work) for word, thread in threads if thread.waiting)]

    def stop(self) -> None:
        """End as on SIGTERM."""
        if self.running is not None:
            self.running.close()

    def _start(self) -> None:
        named = self.world.plan.named
        if named and self.world.rng.random() < named:
            self.running = self._as_member()
            return
        try:
            self.running = self._assembled(None)
        except Transient as trouble:
            self.world.note(self.name, "cannot start yet", reason=str(trouble))
            self.world.clock.sleep(0.2)
        except (ConfigError, Replaced) as refused:
            raise Killed from refused  # and is started again

    def _as_member(self) -> GroupMember:
        ports, settings, group_id = self._ports, self.world.settings, self.world.settings.speed.group_id
        membership = SimMembership(self, self.slot)

        def new_group() -> Consumer:
            return MemberConsumer(ports.new_consumer(group_id), membership)

        return GroupMember(
            membership,
            lambda partitions: claim(
                partial(ports.new_consumer, group_id),
                ports.admin,
                settings.items.topic,
                settings.update.topic,
                partitions,
                membership,
            ),
            lambda partitions, ownership: self._loader.submit(self._assembled, Part(partitions, ownership, new_group)),
            ports.clock,
        )

    def _assembled(self, part: Part | None) -> SpeedLayer:
        world, ports, writes = self.world, self._ports, self.world.plan.checkpoint_s > 0
        layer = assemble(
            world.settings,
            admin=ports.admin,
            producer=ports.producer,
            new_consumer=ports.new_consumer,
            store=ports.store,
            registry=ports.registry,
            clock=ports.clock,
            stopping=lambda: False,
            loader=self._loader,  # type: ignore[arg-type]  # submits, which is all that is asked of it
            metrics=self._metrics,
            past=ports.past,
            checkpoints=ports.checkpoints if writes else None,
            writer=partial(self._writer, shares=part is not None) if writes else None,
            part=part,
        )
        plan, limits = world.plan, layer._limits
        layer._limits = replace(
            limits, replay_slice_users=plan.slice_users, stale_solves=plan.stale_solves, item_states=plan.item_states
        )
        return layer

    def _step(self) -> None:
        assert self.running is not None
        before = self._held()
        try:
            self.running.step(0.05)
        except (ConfigError, Replaced) as replaced:
            raise Killed from replaced  # and is started again
        except OryxError as error:
            if self.effects_left is not None:
                raise Killed from error  # what it needs may be gone, as nobody knows of it any more
            raise Failure(f"the speed layer stops: {error!r}") from error
        after = self._held()
        for layer in before.keys() & after.keys():
            self.world.checks.leaves(self, before[layer] - after[layer], after[layer])

    def _held(self) -> dict[SpeedLayer, set[int]]:
        """The epochs that each layer keeps up to date."""
        return {layer: {run.started.epoch for run in layer.runs} for layer in self.layers}

    def _writer(self, begun: Mapping[int, Together], ownership: Ownership, *, shares: bool) -> Checkpointing:
        self._writers.append(Loader())
        return checkpointing(self, self._ports, self._writers[-1], begun, ownership, shares=shares)
