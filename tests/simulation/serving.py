"""A serving replica as a process: the model manager on a loop that the world turns."""

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from prometheus_client import CollectorRegistry

from oryx_py.runtime.checkpoints import Checkpoints
from serving_layer.epoch_sources.registry_source import RegistrySource
from serving_layer.following.follow_settings import FollowSettings
from serving_layer.following.model_manager import ModelManager
from serving_layer.metrics import Metrics
from serving_layer.model.served_model import ServedModel
from tests.simulation.holding import Holding
from tests.simulation.loop import Loop
from tests.simulation.ports import Ports
from tests.simulation.process import Action, Failure, Process

__all__ = ["ServingProcess", "threads_of_the_world"]

_METRICS = Metrics(CollectorRegistry())
_CHUNKS_AHEAD = 2


class _FollowerThread:
    """What a `Follower` takes for its thread: it does a round when the world says so."""

    def __init__(self, target: Callable[[], None], name: str, daemon: bool) -> None:
        self.follower: Any = target.__self__  # type: ignore[attr-defined]
        self._process: ServingProcess = self.follower._loop.process

    def start(self) -> None:
        self._process.followers.append(self)

    def join(self) -> None:
        pass

    def is_alive(self) -> bool:
        return self in self._process.followers

    @property
    def waits(self) -> bool:
        """Whether it waits for the loop to take what was read; it need not read on."""
        return not self.follower._stop.is_set() and self.follower._slots._value == 0

    def round(self) -> None:
        if not self.follower.round():
            self._process.followers.remove(self)


threads_of_the_world = SimpleNamespace(Thread=_FollowerThread, Semaphore=threading.Semaphore, Event=threading.Event)
"""In the place of `threading` in `serving_layer.following.update_follower`."""


class ServingProcess(Process):
    """`serving_layer.bootstrap` without HTTP."""

    def __init__(self, world: Any, name: str) -> None:
        super().__init__(world, name)
        ports = self._ports = Ports(self)
        plan = world.plan
        self.followers: list[_FollowerThread] = []
        self._loop: Any = Loop(world.clock)
        self._loop.process = self
        follow = FollowSettings(
            world.UPDATE, plan.update_partitions, plan.partitions, look_s=0.3, retry_s=1.0, patience_s=20.0
        )
        self.manager = ModelManager(
            source=RegistrySource(
                registry=ports.registry,
                store=ports.store,
                admin=ports.admin,
                new_consumer=ports.new_consumer,
                clock=ports.clock,
                topic=world.UPDATE,
                update_partitions=plan.update_partitions,
                partitions=range(plan.partitions),
                require_live=True,
                checkpoints=Checkpoints(ports.checkpoints, ports.store, range(plan.partitions)),
            ),
            admin=ports.admin,
            new_consumer=ports.new_consumer,
            settings=follow,
            clock=ports.clock,
            metrics=_METRICS,
        )
        self._holding = Holding(world, name, self.manager)
        self._loading: Any = None
        """The load under way, and when it is done."""
        self._loaded_at = 0.0
        self._loop.turn(self.manager.start)

    def actions(self) -> list[Action]:
        """Turn the loop, do an executor's work, let a follower read."""
        found: list[Action] = [(2.0, "turn", self._turn)]
        found += [
            (2.0, "work", lambda queue=queue: self._work(queue))
            for queue in self._loop.work.values()
            if self._is_due(queue)
        ]
        found += [(self.world.plan.follow, "read", thread.round) for thread in self.followers if not thread.waits]
        return found

    def served(self) -> ServedModel | None:
        """What requests are answered from."""
        return self.manager.served()

    def buried(self) -> None:
        """End without a word."""
        self._loop.drop()

    def _turn(self) -> None:
        self._loop.turn()
        if self._loop.failed:
            raise Failure(f"a callback of serving's loop failed: {self._loop.failed}")
        self.world.checks.served(self)
        self._holding.look()

    def _is_due(self, queue: list[Any]) -> bool:
        """Whether an executor has something to do, and the time that it takes is over."""
        if not queue or queue is not self._loop.work.get(id(self.manager._loader)) or not self.world.plan.load_s:
            return bool(queue)
        future, function, _ = queue[0]
        if getattr(function, "__name__", "") != "_open" or future.cancelled():
            return True
        if self._loading is not future:
            self._loading, self._loaded_at = future, self.world.clock.monotonic() + self.world.plan.load_s
        return bool(self.world.clock.monotonic() >= self._loaded_at)

    def _work(self, queue: list[Any]) -> None:
        future, function, arguments = queue.pop(0)
        if future.cancelled():
            return
        try:
            result = function(*arguments)
        except Exception as error:
            if not future.cancelled():
                future.set_exception(error)
        else:
            if not future.cancelled():
                future.set_result(result)
