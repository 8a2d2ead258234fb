"""``oryx plan``."""

import shutil
from typing import TYPE_CHECKING, Annotated

import typer

from oryx_py.cli.invocation import invocation
from oryx_py.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from oryx_py.config import Settings
    from oryx_py.planning.plan import Step
    from oryx_py.planning.sizes import Machines, ModelSize

__all__ = ["plan"]

_COLUMNS = ("step", "memory", "mapped", "disk", "time", "")


def plan(
    context: typer.Context,
    users: Annotated[str, typer.Option("--users", metavar="COUNT", help="Like 10000000, 10_000_000 or 10M.")],
    items: Annotated[str, typer.Option("--items", metavar="COUNT")],
    interactions: Annotated[str, typer.Option("--interactions", metavar="COUNT", help="Rows of the history.")],
    features: Annotated[
        int | None, typer.Option("--features", min=1, help="Length of the vectors; else model.features.")
    ] = None,
    pairs: Annotated[
        str | None, typer.Option("--pairs", metavar="COUNT", help="What they fold to; else as many as there can be.")
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Else model.iterations.")] = None,
    machine: Annotated[
        str | None,
        typer.Option("--machine", metavar="CORES,MEMORY[,DISK]", help="Like 16,64G; else this machine."),
    ] = None,
    executors: Annotated[int, typer.Option("--executors", min=1, help="How many such machines.")] = 1,
    id_bytes: Annotated[float | None, typer.Option("--id-bytes", min=1, help="Of an ID, on average.")] = None,
    keyed: Annotated[
        bool, typer.Option("--keyed", help="Each has an idempotency key, as `oryx ingest` gives them.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, in bytes and seconds.")] = False,
) -> None:
    """Compute what a model of some size takes: bytes, time, machines.

    "memory" has to be there. "mapped" files are read through the page cache:
    the more of them fits, the faster. Bytes and time follow from figures of one
    machine, of which some are estimates (python -m tests.bench.constants
    measures them on yours): the bytes of what is mapped are exact but for IDs,
    seconds may be a few times more or less.

    Examples:

      oryx plan --users 10M --items 2M --interactions 1B --features 128
      oryx plan --users 10M --items 2M --interactions 1B --machine 16,64G
    """
    from oryx_py.planning.constants import MEASURED
    from oryx_py.planning.plan import plan as steps_of
    from oryx_py.planning.quantities import count_of
    from oryx_py.planning.sizes import ModelSize
    from oryx_py.planning.verdict import obstacle, suited

    call = invocation(context)
    model = call.settings().model
    rows = count_of(interactions, "--interactions")
    user_count, item_count = count_of(users, "--users"), count_of(items, "--items")
    size = ModelSize(
        users=user_count,
        items=item_count,
        interactions=rows,
        features=(features or model.features) + (2 if model.biases else 0),
        pairs=count_of(pairs, "--pairs") if pairs else min(rows, user_count * item_count),
        epochs=epochs or model.iterations,
        id_bytes=id_bytes or MEASURED.id_bytes,
        keyed=keyed,
    )
    machines = _machines(machine, executors, call.settings())
    steps, refused, found = steps_of(size, machines), obstacle(size, machines), suited(size)
    if as_json:
        call.screen.line(_json(size, machines, steps, refused, found))
        return
    call.screen.line(_headline(size, machines))
    call.screen.table(_COLUMNS, [_row(step) for step in steps], right=(1, 2, 3, 4))
    call.screen.line()
    call.screen.line(f"does not fit: {refused}" if refused else "fits")
    suits = ", or ".join(_shown(each) for each in found if each)
    call.screen.line(f"all in memory: {suits or 'no machine of 2 TiB, nor 128 of them'}")


def _machines(text: str | None, executors: int, settings: "Settings") -> "Machines":
    """What ``--machine`` says; this machine's disk is the one that a run works on.

    Raises:
        UserError: it is malformed.
    """
    from batch_layer.host.cores import cores
    from oryx_py.planning.quantities import bytes_of, count_of
    from oryx_py.planning.sizes import Machines
    from oryx_py.runtime.machine import memory_bytes

    training, task_memory = settings.batch.training_tasks, settings.batch.task_memory_bytes
    if text is None:
        disk = _free(settings.work_dir) if executors == 1 else None
        return Machines(
            cores=cores(),
            memory=memory_bytes(),
            count=executors,
            disk=disk,
            training=training,
            task_memory=task_memory,
        )
    count, comma, memory = text.partition(",")
    if not comma:
        raise UserError(f"--machine is {text!r}: give cores and memory, like 16,64G")
    memory, comma, disk_size = memory.partition(",")
    return Machines(
        cores=count_of(count, "--machine"),
        memory=bytes_of(memory, "--machine"),
        count=executors,
        disk=bytes_of(disk_size, "--machine") if comma else None,
        training=training,
        task_memory=task_memory,
    )


def _free(path: "Path") -> int | None:
    """Bytes free where a folder is, or will be."""
    while not path.exists() and path != path.parent:
        path = path.parent
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return None


def _headline(size: "ModelSize", machines: "Machines") -> str:
    from oryx_py.planning.quantities import show_count

    folded = "" if size.pairs == size.interactions else f" ({show_count(size.pairs)} pairs)"
    return (
        f"{show_count(size.users)} users, {show_count(size.items)} items, {show_count(size.interactions)} interactions"
        f"{folded}, {size.features} features, {size.epochs} epochs; on {_shown(machines)}"
    )


def _shown(machines: "Machines") -> str:
    from oryx_py.planning.quantities import show_bytes

    each = f"{machines.cores} cores and {show_bytes(machines.memory)}"
    return f"{machines.count} executors with {each} each" if machines.count > 1 else f"one machine with {each}"


def _row(step: "Step") -> tuple[str, ...]:
    from oryx_py.planning.quantities import show_bytes, show_seconds

    sizes = (show_bytes(size) if size is not None else "-" for size in (step.memory, step.mapped, step.disk))
    return (step.name, *sizes, show_seconds(step.seconds) if step.seconds is not None else "-", step.what)


def _json(
    size: "ModelSize",
    machines: "Machines",
    steps: "list[Step]",
    refused: str | None,
    found: "tuple[Machines | None, Machines | None]",
) -> str:
    import msgspec

    return msgspec.json.encode(
        {
            "size": size,
            "machines": machines,
            "steps": [
                {
                    "name": step.name,
                    "memory_bytes": step.memory,
                    "mapped_bytes": step.mapped,
                    "disk_bytes": step.disk,
                    "seconds": step.seconds,
                }
                for step in steps
            ],
            "obstacle": refused,
            "suited": {"machine": found[0], "cluster": found[1]},
        }
    ).decode()
