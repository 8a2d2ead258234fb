"""The command ``oryx``: global options, and the commands in the order of the manual."""

from pathlib import Path
from typing import Annotated

import typer

from oryx_py.cli import (
    broker,
    config,
    explaining,
    generations,
    hdfs,
    history,
    ingest,
    layers,
    plan,
    pref,
    recommend,
    setup,
    tail,
    up,
    version,
    world,
)
from oryx_py.cli.demo import command as demo
from oryx_py.cli.evaluate import command as evaluate
from oryx_py.cli.failures import OryxGroup
from oryx_py.cli.forget import command as forget
from oryx_py.cli.invocation import Invocation
from oryx_py.cli.status import command as status

__all__ = ["app", "main"]

_ON_ONE_MACHINE = "On one machine"
_LAYERS = "The layers, each by itself"
_DATA = "Data in, answers out"
_CARE = "Settings, models, topics"

app = typer.Typer(
    name="oryx",
    cls=OryxGroup,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


@app.callback()
def options(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", metavar="FILE", help="Settings file; without it ./oryx.toml where it exists."),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Print the traceback with an error.")] = False,
) -> None:
    """A recommender that learns from a stream.

    What users do goes into Kafka. Spark trains a model from all of it now and
    then; a speed layer folds every interaction in within milliseconds; the
    service answers over HTTP.

    To begin with:

      oryx demo                  the whole loop, to watch
      oryx up                    everything on this machine, until Ctrl-C
      oryx ingest ratings.csv    history in
      oryx batch --once          train now
      oryx recommend ann         ask
      oryx status                how all of it is

    Settings come from oryx.toml and from ORYX__GROUP__KEY in the environment;
    `oryx config reference` explains each. Exit codes: 0 done, 1 failed, 2
    something to change on your side, 130 Ctrl-C.
    """
    context.obj = Invocation(config=config, debug=debug)


app.command("up", rich_help_panel=_ON_ONE_MACHINE)(up.up)
app.command("demo", rich_help_panel=_ON_ONE_MACHINE)(demo.demo)
app.command("broker", rich_help_panel=_ON_ONE_MACHINE)(broker.broker)
app.command("hdfs", rich_help_panel=_ON_ONE_MACHINE)(hdfs.hdfs)
app.command("batch", rich_help_panel=_LAYERS)(layers.batch)
app.command("speed", rich_help_panel=_LAYERS)(layers.speed)
app.command("serve", rich_help_panel=_LAYERS)(layers.serve)
app.command("ingest", rich_help_panel=_DATA)(ingest.ingest)
# What is unknown as an option may be a negative number.
app.command("pref", rich_help_panel=_DATA, context_settings={"ignore_unknown_options": True})(pref.pref)
app.command("forget", rich_help_panel=_DATA)(forget.forget)
app.command("recommend", rich_help_panel=_DATA)(recommend.recommend)
app.command("similar", rich_help_panel=_DATA)(recommend.similar)
app.command("because", rich_help_panel=_DATA)(explaining.because)
app.command("estimate", rich_help_panel=_DATA)(explaining.estimate)
app.command("tail", rich_help_panel=_DATA)(tail.tail)
app.command("world", rich_help_panel=_DATA)(world.world)
app.add_typer(evaluate.app, name="evaluate", rich_help_panel=_DATA)
app.command("status", rich_help_panel=_CARE)(status.status)
app.command("setup", rich_help_panel=_CARE)(setup.setup)
app.command("plan", rich_help_panel=_CARE)(plan.plan)
app.command("generations", rich_help_panel=_CARE)(generations.generations)
app.command("rollback", rich_help_panel=_CARE)(generations.rollback)
app.add_typer(history.app, name="history", rich_help_panel=_CARE)
app.add_typer(config.app, name="config", rich_help_panel=_CARE)
app.command("version", rich_help_panel=_CARE)(version.version)


def main() -> None:
    """Run the command line and exit."""
    app(prog_name="oryx")
