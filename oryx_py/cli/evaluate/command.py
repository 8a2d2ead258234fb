"""``oryx evaluate``."""

from pathlib import Path
from typing import Annotated

import typer

from oryx_py.cli.choices import BulkFormat, Unit
from oryx_py.cli.extras import need
from oryx_py.cli.invocation import invocation
from oryx_py.cli.visible import visible
from oryx_py.errors import UserError

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")


@app.callback()
def evaluate() -> None:
    """Measure, on interactions of your own, what a model is worth."""


@app.command()
def prequential(
    context: typer.Context,
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE...", help="Interactions, as `oryx ingest` takes them; else the history's."),
    ] = None,
    format: Annotated[  # noqa: A002 - the option's name
        BulkFormat | None,
        typer.Option("--format", help="As for `oryx history import`; without it, seen from name and content."),
    ] = None,
    timestamps: Annotated[
        Unit, typer.Option("--timestamps", help="Seconds or milliseconds since 1970; auto looks at the first one.")
    ] = "auto",
    world: Annotated[
        int | None, typer.Option("--world", min=0, metavar="SEED", help="An invented world of drifting tastes instead.")
    ] = None,
    arms: Annotated[
        str,
        typer.Option(
            "--arms", metavar="LIST", help="By commas: none, speed, oryx, retrain, speed+retrain, popularity."
        ),
    ] = "all",
    retrain_every: Annotated[
        int,
        typer.Option("--retrain-every", min=1, metavar="COUNT", help="Interactions from one retraining to the next."),
    ] = 1_000,
    warm: Annotated[
        bool | None,
        typer.Option("--warm/--cold", help="Retraining begins with the last vectors; else model.warm_start."),
    ] = None,
    train_share: Annotated[
        float, typer.Option("--train-share", min=0.01, max=0.99, help="The first part, trained on beforehand.")
    ] = 0.8,
    events: Annotated[
        int | None, typer.Option("--events", min=1, metavar="COUNT", help="Replay at most so many of the rest.")
    ] = None,
    max_interactions: Annotated[
        int, typer.Option("--max-interactions", min=2, metavar="COUNT", help="Look at the newest so many alone.")
    ] = 5_000_000,
    features: Annotated[
        int | None, typer.Option("--features", min=1, max=4096, help="Length of the vectors; else model.features.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Of trainings and intervals; else model.seed.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, with every figure.")] = False,
) -> None:
    """Replay interactions in the order of time: rank each, then learn it.

    Says whether the speed layer is worth it on your data. The first part is
    trained on. Of each interaction after it, all arms first rank every item
    that its user does not know, then it is learned:

      none           the first part's model as it is
      speed          the same with the speed layer (speed.fold_in = "exact")
      oryx           the same with Oryx 2's rule (speed.fold_in = "oryx")
      retrain        trained anew every --retrain-every interactions
      speed+retrain  both, which is what the whole system does
      popularity     how many users know an item by then

    An item that an arm has no vector for is a miss. Users without a vector get
    what is popular. With an item that its user knows already an interaction is
    learned and not ranked. What follows from the settings: model.* and
    input.kinds, for the trainer that batch.trainer names; training is done in
    this process, without Spark, in model.iterations sweeps.

    Differences come with 95 % intervals, by a bootstrap over users. Without
    timestamps the file's order counts.

    Examples:

      oryx evaluate prequential ml-100k/u.data --arms none,speed,retrain
      oryx evaluate prequential --retrain-every 5000        the history
      oryx evaluate prequential --world 1 --json
    """
    need("batch", "numba", "threadpoolctl")
    import msgspec

    from oryx_py.cli.evaluate.asking import allowed, arms_of, read_log, trainer_of, with_options
    from oryx_py.cli.evaluate.figures import figures
    from oryx_py.cli.evaluate.replay import Replay
    from oryx_py.cli.evaluate.report import as_object, headline, show
    from oryx_py.runtime.telemetry import configure_logging

    call = invocation(context)
    settings = with_options(call.settings(), features, seed)
    configure_logging("error", settings.log.format)
    trainer = trainer_of(settings)
    names = allowed(arms_of(arms), trainer.recipe, asked=arms != "all")
    source, log = read_log(call, settings, files or [], format, timestamps, world)
    log = log.newest(max_interactions)
    trained = int(len(log) * train_share)
    if not 0 < trained < len(log):
        raise UserError(f"{len(log):,} interactions are too few to train on a part and replay the rest: give more")
    log = log.first(trained + events if events else len(log))
    warm = settings.model.warm_start if warm is None else warm
    replay = Replay(log, trained, trainer, names, every=retrain_every, warm=warm)
    with call.screen.progress("replaying", len(log) - trained, "interactions") as bar:
        outcomes = replay.run(bar.update)
    if not len(outcomes.at):
        raise UserError("there is nothing to rank: all after the first part are repeats, deletes or not positive")
    found = figures(outcomes, settings.model.seed)
    if as_json:
        about = {"data": source, "retrain_every": retrain_every, "warm": warm, "recipe": trainer.recipe}
        call.screen.line(msgspec.json.encode(as_object(replay, found, about)).decode())
        return
    call.screen.line(visible(source, 200))
    call.screen.line(headline(trainer.recipe, replay.generation))
    show(call.screen, replay, found, retrain_every)
