"""The batch layer as a process, and the operator's rollback."""

from typing import Any

import msgspec
import numpy as np
from prometheus_client import CollectorRegistry

from batch_layer.history.folder import HistoryFolder
from batch_layer.housekeeping.after_epoch import Housekeeping, Kept
from batch_layer.publishing.publisher import Publisher
from batch_layer.publishing.rollback import roll_back
from batch_layer.recipe import Recipe
from batch_layer.run.layer import BatchLayer
from batch_layer.run.steps import Parts, Step
from batch_layer.telemetry.metrics import Metrics
from oryx_py.errors import OryxError, Transient, UserError
from tests.simulation.engine import SimEngine
from tests.simulation.plan import K, draw_fold
from tests.simulation.ports import Ports
from tests.simulation.process import Action, Failure, Process

__all__ = ["BatchProcess", "first_recipe"]

_METRICS = Metrics(CollectorRegistry())


class _Stopped(Exception):
    """The process was asked to stop, and does."""


class BatchProcess(Process):
    """`batch_layer.bootstrap` without Spark; runs when the world says so."""

    def __init__(self, world: Any, name: str) -> None:
        super().__init__(world, name)
        self.ports = ports = Ports(self)
        self._rng = np.random.default_rng(world.rng.getrandbits(32))
        self._publisher = Publisher(
            registry=ports.registry,
            store=ports.store,
            producer=ports.producer,
            admin=ports.admin,
            new_consumer=ports.new_consumer,
            topic=world.UPDATE,
            clock=ports.clock,
        )
        self._layer = self._put_together(world.recipe)

    def actions(self) -> list[Action]:
        """Do a run, now with other settings perhaps; or the operator's part."""
        plan = self.world.plan
        if self.world.runs >= plan.runs or self.effects_left is not None:  # another has its lock
            return []
        return [(plan.batch, "run", self._run), (plan.rollback, "rollback", self._roll_back)]

    def recover(self) -> None:
        """Start, and be asked to stop before anything new is read."""

        def stop(step: Step) -> None:
            if step is Step.RECOVERED:
                raise _Stopped

        try:
            self._put_together(self.world.recipe, stop).run()
        except _Stopped:
            return
        except OryxError as error:
            raise Failure(f"the batch layer stops when it starts: {error!r}") from error

    def run(self, *, force: bool = False) -> None:
        """Do a run.

        Raises:
            Transient: the next run goes on.
        """
        try:
            outcome = self._layer.run(force=force)
        except Transient as trouble:
            self.world.note(self.name, "run put off", reason=repr(trouble))
            raise
        except OryxError as error:
            if self.effects_left is not None:  # its lock says why
                self.world.note(self.name, "was taken for dead", reason=repr(error))
                return
            raise Failure(f"the batch layer stops: {error!r}") from error
        self.world.note(self.name, "run finished", outcome=outcome.name)

    def _run(self) -> None:
        world = self.world
        world.runs += 1
        if world.chance(world.plan.settings):
            world.recipe = msgspec.structs.replace(world.recipe, fold=draw_fold(world.rng, world.plan))
            self._layer = self._put_together(world.recipe)
        try:
            self.run(force=world.chance(0.1))
        except Transient:
            world.clock.sleep(0.2)

    def _roll_back(self) -> None:
        world, registry = self.world, self.world.registry()
        current = registry.newest_epoch.generation if registry.newest_epoch else ""
        others = [name for name in world.generations() if name != current and registry.state(name) == "retired"]
        target = world.rng.choice(others) if others and world.rng.random() < 0.6 else None
        try:
            epoch = roll_back(self.ports.registry, self.ports.store, self._publisher, target)
        except (UserError, Transient) as trouble:
            self.world.note(self.name, "no rollback", reason=repr(trouble))
        else:
            self.world.note(self.name, "rolled back", epoch=epoch.epoch, generation=epoch.generation)

    def _put_together(self, recipe: Recipe, after_step: Any = None) -> BatchLayer:
        ports, world = self.ports, self.world
        tidy = Housekeeping(
            registry=ports.registry,
            store=ports.store,
            admin=ports.admin,
            new_consumer=ports.new_consumer,
            clock=ports.clock,
            metrics=_METRICS,
            input_topic=world.INPUT,
            update_topic=world.UPDATE,
            items_topic=world.ITEMS,
            group_id=world.settings.speed.group_id,
            checkpoints=ports.checkpoints,
            kept=Kept(trim=world.plan.trim, trim_keep_s=0.0, generations=3, overlap_s=world.OVERLAP_S, clocks_s=0.0),
        )
        engine = SimEngine(self, recipe)
        parts = Parts(
            registry=ports.registry,
            store=ports.store,
            history=ports.history,
            folder=HistoryFolder(ports.files),
            admin=ports.admin,
            publisher=self._publisher,
            engine=engine,
            clock=ports.clock,
            rng=self._rng,
            metrics=_METRICS,
            tidy=tidy,
            find_base=engine.find_base,
        )
        return BatchLayer(
            parts,
            recipe,
            input_topic=world.INPUT,
            update_topic=world.UPDATE,
            items_topic=world.ITEMS,
            after_step=after_step or (lambda step: self.effect(f"step {step.value} done")),
        )


def first_recipe(world: Any) -> Recipe:
    """By which the first generation is made."""
    fold = draw_fold(world.rng, world.plan)
    return Recipe(trainer="random", features=K, iterations=1, seed=1, objective=world.plan.objective, fold=fold)
