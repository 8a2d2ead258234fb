"""``oryx batch``, ``oryx speed``, ``oryx serve``: one layer each, in this process."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from oryx_py.cli.extras import need
from oryx_py.cli.invocation import invocation

if TYPE_CHECKING:
    from oryx_py.config import Settings
    from oryx_py.runtime.stopping import Stopping

__all__ = ["batch", "serve", "speed"]


def batch(
    context: typer.Context,
    once: Annotated[
        bool, typer.Option("--once", help="One run, then end; without it, one each batch.interval_s.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Train also where nothing has come since.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait while another batch layer is in a run, or say who and end.")
    ] = True,
) -> None:
    """Run the batch layer: history in, a new model out, by Spark.

    Each run takes what is new in the input topic into the history, trains a
    generation from all of it, and publishes it; speed and serving change over
    by themselves. Killed at any moment, the next run goes on from there. Where
    nothing has come and no setting changed, nothing is trained.

    One run at a time: beside `oryx up`, `oryx batch --once` is a run now.

    Examples:

      oryx batch --once
      oryx batch             a run each batch.interval_s seconds, until Ctrl-C
    """
    need("batch", "pyspark", "pyarrow", "pandas", "numba")
    from batch_layer.bootstrap import run

    _run(context, lambda settings, stopping: run(settings, stopping, once=once, force=force, patient=wait))


def speed(context: typer.Context) -> None:
    """Run the speed layer: fold every interaction into the model within milliseconds.

    It waits for the first generation, follows the input topic from where that
    ends, and sends new vectors to the update topic. Killed at any moment, it
    starts again with the same state.

    Example:

      oryx speed
    """
    need("speed", "numba")
    from speed_layer.bootstrap import run

    _run(context, run)


def serve(context: typer.Context) -> None:
    """Run the serving layer: answer over HTTP, on serving.host and serving.port.

    It takes interactions at once, and recommends when a model is loaded and
    live; /ready says what it waits for.

    Example:

      oryx serve
      curl 'http://127.0.0.1:8080/recommend/ann?howMany=3'
    """
    need("serving", "uvloop", "faiss")
    from serving_layer.bootstrap import run

    _run(context, run)


def _run(context: typer.Context, layer: "Callable[[Settings, Stopping], int]") -> None:
    from oryx_py.runtime.stopping import Stopping
    from oryx_py.runtime.telemetry import configure_logging

    settings = invocation(context).settings()
    configure_logging(settings.log.level, settings.log.format)
    stopping = Stopping()
    with stopping.on_signals():
        code = layer(settings, stopping)
    raise typer.Exit(code)
