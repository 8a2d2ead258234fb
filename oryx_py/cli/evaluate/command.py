"""``oryx evaluate``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oryx_py.cli.choices import BulkFormat, Unit
from oryx_py.cli.extras import need
from oryx_py.cli.invocation import Invocation, invocation
from oryx_py.cli.visible import visible
from oryx_py.errors import UserError

if TYPE_CHECKING:
    from batch_layer.recipe import Recipe
    from oryx_py.cli.evaluate.arms import ArmName
    from oryx_py.cli.evaluate.log import Log
    from oryx_py.cli.evaluate.training import Trainer
    from oryx_py.config import Settings
    from oryx_py.model.generation import Generation

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

    from oryx_py.cli.evaluate.figures import figures
    from oryx_py.cli.evaluate.replay import Replay
    from oryx_py.cli.evaluate.report import as_object, show
    from oryx_py.runtime.telemetry import configure_logging

    call = invocation(context)
    settings = _with(call.settings(), features, seed)
    configure_logging("error", settings.log.format)
    trainer = _trainer(settings)
    names = _checked(_arms(arms), trainer.recipe, asked=arms != "all")
    source, log = _log(call, settings, files or [], format, timestamps, world)
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
    call.screen.line(_headline(trainer.recipe))
    show(call.screen, replay, found, retrain_every, _notes(replay.generation, names))


def _arms(text: str) -> "list[ArmName]":
    """The arms that ``--arms`` names, in its order, each once.

    Raises:
        UserError: there is no such arm.
    """
    from oryx_py.cli.evaluate.arms import ARMS

    if text.strip() == "all":
        return list(ARMS)
    by_name = {str(arm): arm for arm in ARMS}
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if wrong := [name for name in names if name not in by_name]:
        raise UserError(f"--arms: there is no {visible(wrong[0], 40)!r}; give some of {', '.join(ARMS)}, or all")
    if not names:
        raise UserError(f"--arms names none: give some of {', '.join(ARMS)}, or all")
    return [by_name[name] for name in names]


def _with(settings: "Settings", features: int | None, seed: int | None) -> "Settings":
    """The settings with what options say in their place."""
    import msgspec

    model = settings.model
    model = msgspec.structs.replace(
        model,
        features=model.features if features is None else features,
        seed=model.seed if seed is None else seed,
    )
    return msgspec.structs.replace(settings, model=model)


def _log(
    call: Invocation,
    settings: "Settings",
    files: list[Path],
    format_: BulkFormat | None,
    timestamps: Unit,
    world: int | None,
) -> "tuple[str, Log]":
    """What is replayed, in words and as a log.

    Raises:
        UserError: both files and a world are named, or what is named cannot be read.
    """
    from oryx_py.cli.evaluate.log import LogBuilder
    from oryx_py.cli.evaluate.reading import read_files, read_history

    if files and world is not None:
        raise UserError("give files or --world, not both")
    if world is not None:
        from oryx_py.testing.drifting import DriftingWorld, draw_drifting

        builder = LogBuilder()
        for interaction in draw_drifting(DriftingWorld(seed=world)):
            builder.add(interaction)
        return f"an invented world of drifting tastes, seed {world}", builder.log()
    with call.screen.progress("reading", None, "rows") as bar:
        on_rows = lambda rows: bar.update(rows, f"{rows:,} rows")  # noqa: E731
        if files:
            builder, refused = read_files(files, format_, timestamps, on_rows)
        else:
            need("batch", "pyarrow")
            builder, refused = read_history(settings, on_rows), 0
    if refused:
        call.screen.note(f"{refused:,} rows cannot be used and are left out", style="yellow")
    if not len(builder):
        raise UserError(
            "there are no interactions in it: name another file"
            if files
            else "there is no history yet: name a file, or bring interactions in first"
        )
    return ", ".join(path.name for path in files) or "the history", builder.log()


def _trainer(settings: "Settings") -> "Trainer":
    from batch_layer.cores import cores
    from batch_layer.recipe import recipe_of
    from oryx_py.cli.evaluate.training import Trainer

    return Trainer(recipe_of(settings.model, settings.batch.trainer, settings.input), cores())


def _checked(names: "list[ArmName]", recipe: "Recipe", *, asked: bool) -> "list[ArmName]":
    """The arms that these settings allow.

    Raises:
        ConfigError: one that was asked for by name is not among them.
    """
    from oryx_py.numerics.oryx_rule import check_rule

    if recipe.objective.biases is None or "oryx" not in names:
        return names
    if asked:
        check_rule(recipe.objective)
    return [name for name in names if name != "oryx"]


def _headline(recipe: "Recipe") -> str:
    objective = recipe.objective
    kind = "MLlib's loss" if objective.rho == 0 else "the loss of iALS"
    return (
        f"{recipe.features} features, {recipe.iterations} sweeps, {objective.feedback} feedback, {kind}: "
        f"lambda {objective.lambda_:g}, alpha {objective.alpha:g}, nu {objective.nu:g}"
        + (f", unobserved_weight {objective.g:g}" if objective.rho else "")
        + f"; seed {recipe.seed}"
    )


def _notes(generation: "Generation", names: "list[ArmName]") -> list[str]:
    """What has to be known of the first model to read the figures."""
    from oryx_py.errors import NearSingular
    from speed_layer.oryx_steps import Solvers

    if "oryx" in names:
        try:
            Solvers.of(generation.user_gram, generation.item_gram)
        except NearSingular as reason:
            return [f"Oryx's rule folds nothing in here: {reason}"]
    return []
