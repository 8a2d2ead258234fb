"""``oryx world``."""

import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from oryx_py.cli.extras import need
from oryx_py.cli.invocation import invocation
from oryx_py.errors import UserError

__all__ = ["world"]


def world(
    context: typer.Context,
    users: Annotated[str, typer.Option("--users", metavar="COUNT", help="Like 30000, 30_000 or 30K.")],
    items: Annotated[str, typer.Option("--items", metavar="COUNT")],
    interactions: Annotated[str, typer.Option("--interactions", metavar="COUNT")],
    seed: Annotated[int, typer.Option("--seed", min=0, help="Another one makes another world.")] = 1,
    out: Annotated[
        str, typer.Option("--out", metavar="DIR", help="A new folder, or a URI that Spark writes.")
    ] = "world",
    form: Annotated[Literal["parquet", "csv"], typer.Option("--format")] = "parquet",
    test_users: Annotated[
        str, typer.Option("--test-users", metavar="COUNT", help="Of whom the last fifth is held out.")
    ] = "10K",
) -> None:
    """Invent interactions, as many as you like, to measure with.

    A few items are met by very many and a few users meet very many, as in real
    data; who meets what follows from hidden tastes that drift. Spark writes
    user, item, strength and timestamp into DIR/interactions, and what test
    users do last into DIR/held-out: a model that has learned the tastes ranks
    that high. The same counts and seed give the same rows on any number of
    cores.

    Examples:

      oryx world --users 30K --items 41K --interactions 810K --out small
      oryx world --users 2M --items 200K --interactions 100M --out large
    """
    need("batch", "pyspark", "pyarrow", "pandas", "numba")
    import msgspec

    from batch_layer.spark.session.failures import translated
    from batch_layer.spark.session.opening import close_session, open_session
    from batch_layer.spark.world import HELD_OUT, INTERACTIONS, write_world
    from oryx_py.planning.quantities import count_of
    from oryx_py.testing.long_tail import LongTail

    described = LongTail(
        users=count_of(users, "--users"),
        items=count_of(items, "--items"),
        interactions=count_of(interactions, "--interactions"),
        test_users=count_of(test_users, "--test-users"),
        seed=seed,
    )
    call = invocation(context)
    settings = call.settings()
    folder = None if "://" in out else _new_folder(Path(out))
    began = time.monotonic()
    spark = open_session(settings.batch.spark_master, settings.batch.spark, settings.local_dir / "spark.log")
    try:
        with translated():
            write_world(spark, described, folder.as_uri() if folder else out, form)
    finally:
        close_session(spark)
    if folder:
        (folder / "world.json").write_bytes(msgspec.json.format(msgspec.json.encode(described)) + b"\n")
    call.screen.line(
        f"{described.interactions:,} interactions of {described.users:,} users with {described.items:,} items in "
        f"{time.monotonic() - began:.1f} s: {out}/{INTERACTIONS}, and what is held out in {out}/{HELD_OUT}"
    )


def _new_folder(folder: Path) -> Path:
    """Make the folder; what is there stays."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there already: name another folder with --out")
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()
