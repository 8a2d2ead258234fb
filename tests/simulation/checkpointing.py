"""Checkpoints as the speed layer's process writes them, and what may become of their files."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from prometheus_client import CollectorRegistry

from oryx_py.adapters.generation_stores.local_store import LocalStore
from oryx_py.errors import StoreUnavailable
from oryx_py.model.generations.generation import new_generation_name
from oryx_py.runtime.restored import Together
from speed_layer.checkpoints.checkpointing import Checkpointing
from speed_layer.checkpoints.forking import unforked
from speed_layer.sharing.claiming import Ownership
from speed_layer.telemetry.metrics import Metrics
from tests.simulation.process import Process

if TYPE_CHECKING:
    from tests.simulation.ports import Ports
    from tests.simulation.world import World

__all__ = ["checkpointing", "damage_one"]

_METRICS = Metrics(CollectorRegistry())
_KEPT = 2


def checkpointing(
    process: Process,
    ports: "Ports",
    background: Any,
    begun: Mapping[int, Together],
    ownership: Ownership,
    *,
    shares: bool,
) -> Checkpointing:
    """Make the writer of a process; what it leaves to another thread is given to ``background``."""
    world = process.world
    rng = np.random.default_rng(world.rng.getrandbits(32))

    def spawn(work: Callable[[], object]) -> Callable[[], None]:
        process.effect("fork")
        written = unforked(work)
        return died if world.chance(world.plan.give_up) else written

    def died() -> None:
        raise StoreUnavailable("the simulated copy of the process died")

    return Checkpointing(
        store=ports.checkpoints,
        update_end=lambda: ports.admin.end_offsets(world.UPDATE),
        items_end=(lambda: ports.admin.end_offsets(world.ITEMS)) if shares else None,
        partitions=world.plan.partitions,
        new_name=lambda now_ms: new_generation_name(now_ms, rng),
        spawn=spawn,
        background=background,
        clock=ports.clock,
        metrics=_METRICS,
        interval_s=world.plan.checkpoint_s,
        kept=_KEPT,
        begun=begun,
        ownership=ownership,
    )


def damage_one(world: "World", folder: Path) -> None:
    """Cut a file of a checkpoint short, or take it away; who has it mapped still has the old one."""
    names = LocalStore(folder).generations()
    if not names:
        return
    chosen = folder / world.rng.choice(names)
    path = world.rng.choice(sorted(path for path in chosen.iterdir() if path.is_file()))
    content = path.read_bytes()
    path.unlink()
    if world.rng.random() < 0.7:
        path.write_bytes(content[: len(content) // 2])
    world.note("world", "damages a checkpoint", file=os.path.relpath(path, folder))
