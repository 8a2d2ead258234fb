"""``oryx demo``."""

from pathlib import Path
from typing import Annotated

import typer

from oryx_py.cli.extras import need
from oryx_py.cli.invocation import invocation

__all__ = ["demo"]


def demo(
    context: typer.Context,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FILE", help="A file as `oryx ingest` takes it; without it, an invented world."),
    ] = None,
    leave: Annotated[bool, typer.Option("--exit", help="End after the summary, do not stay up.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the invented world.")] = 1,
    replay: Annotated[
        int, typer.Option("--replay", min=0, metavar="COUNT", help="Interactions to replay at most.")
    ] = 2_000,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the temporary folder, with the logs.")] = False,
) -> None:
    """Show the whole loop on this machine, and measure what it is worth.

    Starts real Kafka, the speed layer and the service on free ports in a
    temporary folder; sends the first 80 % of the data through HTTP; trains on
    Spark; lets somebody new like three things and shows how their list changes;
    replays up to 2,000 of the other interactions, and compares the live service
    with the same model without the speed layer, and with popularity.

    It takes some two minutes, stays up until Ctrl-C, and leaves nothing behind.
    Settings files and ORYX__… variables do not concern it. With MovieLens 100K
    (u.data, and u.item beside it) the films have their titles.

    Examples:

      oryx demo
      oryx demo --exit --data ml-100k/u.data
    """
    need("all", "pyspark", "pyarrow", "pandas", "numba", "uvloop", "faiss")
    from oryx_py.cli.demo.stages import Plan, play

    play(invocation(context).screen, Plan(data=data, seed=seed, replay=replay, leave=leave, keep=keep))
