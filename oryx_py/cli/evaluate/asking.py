"""What the options of ``oryx evaluate`` and the settings ask for."""

from pathlib import Path

import msgspec

from batch_layer.host.cores import cores
from batch_layer.recipe import Recipe, recipe_of
from oryx_py.cli.choices import BulkFormat, Unit
from oryx_py.cli.evaluate.arms import ARMS, ArmName
from oryx_py.cli.evaluate.log import Log, LogBuilder
from oryx_py.cli.evaluate.reading import read_files, read_history
from oryx_py.cli.evaluate.training import Trainer
from oryx_py.cli.extras import need
from oryx_py.cli.invocation import Invocation
from oryx_py.cli.visible import visible
from oryx_py.config import Settings
from oryx_py.errors import UserError
from oryx_py.numerics.fold_in.oryx_rule import check_rule
from oryx_py.testing import drifting

__all__ = ["allowed", "arms_of", "read_log", "trainer_of", "with_options"]


def arms_of(text: str) -> list[ArmName]:
    """The arms that ``--arms`` names, in its order, each once.

    Raises:
        UserError: there is no such arm.
    """
    if text.strip() == "all":
        return list(ARMS)
    by_name = {str(arm): arm for arm in ARMS}
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if wrong := [name for name in names if name not in by_name]:
        raise UserError(f"--arms: there is no {visible(wrong[0], 40)!r}; give some of {', '.join(ARMS)}, or all")
    if not names:
        raise UserError(f"--arms names none: give some of {', '.join(ARMS)}, or all")
    return [by_name[name] for name in names]


def with_options(settings: Settings, features: int | None, seed: int | None) -> Settings:
    """The settings with what options say in their place."""
    model = settings.model
    model = msgspec.structs.replace(
        model,
        features=model.features if features is None else features,
        seed=model.seed if seed is None else seed,
    )
    return msgspec.structs.replace(settings, model=model)


def read_log(
    call: Invocation,
    settings: Settings,
    files: list[Path],
    format_: BulkFormat | None,
    timestamps: Unit,
    world: int | None,
) -> tuple[str, Log]:
    """What is replayed, in words and as a log.

    Raises:
        UserError: both files and a world are named, or what is named cannot be read.
    """
    if files and world is not None:
        raise UserError("give files or --world, not both")
    if world is not None:
        builder = LogBuilder()
        for interaction in drifting.draw_drifting(drifting.DriftingWorld(seed=world)):
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


def trainer_of(settings: Settings) -> Trainer:
    """The trainer that the settings describe, on all cores."""
    return Trainer(recipe_of(settings.model, settings.batch.trainer, settings.input), cores())


def allowed(names: list[ArmName], recipe: Recipe, *, asked: bool) -> list[ArmName]:
    """The arms that these settings allow.

    Raises:
        ConfigError: one that was asked for by name is not among them.
    """
    if recipe.objective.biases is None or "oryx" not in names:
        return names
    if asked:
        check_rule(recipe.objective)
    return [name for name in names if name != "oryx"]
