"""``oryx generations`` and ``oryx rollback``."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oryx_py.cli.extras import need
from oryx_py.cli.invocation import invocation
from oryx_py.cli.visible import offsets, visible
from oryx_py.errors import OryxError

if TYPE_CHECKING:
    from oryx_py.model.epochs.registry import Registry
    from oryx_py.ports import ArtefactStore

__all__ = ["COLUMNS", "generation_rows", "generations", "rollback"]

COLUMNS = ("generation", "state", "epoch", "users", "items", "pairs", "quality", "input up to", "reason")


def generations(context: typer.Context) -> None:
    """Show the trained models, the newest last.

    "epoch" has the publications of each: the highest number is served. "input
    up to" has, by partition, the first offset of the input topic that the model
    does not cover. "quality" is there where batch.test_fraction is set: how well
    a model without the newest interactions foresaw these, and behind the slash
    how well popularity did, or for ratings the mean of each item's. The manifest
    has more of it, and the protocol. A generation is a candidate when it is
    written, published when it is served, and retired or rejected afterwards.

    Example:

      oryx generations
    """
    from oryx_py.adapters.places import open_registry, open_store, reach_of
    from oryx_py.local.endpoint import located

    call = invocation(context)
    settings = located(call.settings())
    reach = reach_of(settings)
    registry = open_registry(settings.registry_uri, reach).read()
    rows = generation_rows(registry, open_store(settings.store_uri, reach))
    if not rows:
        call.screen.note(
            f"there is no generation in {settings.store_uri} yet: `oryx batch --once` trains one from what was ingested"
        )
        return
    call.screen.table(COLUMNS, rows, right=(3, 4, 5))
    if deleted := sum(map(registry.is_deleted, registry.generations)):
        kept = settings.store.keep_generations
        call.screen.note(f"{deleted} more are not kept any more: store.keep_generations = {kept}")


def generation_rows(registry: "Registry", store: "ArtefactStore") -> list[Sequence[str]]:
    """Return a row for each generation that the registry or the store knows, in `COLUMNS`, ascending.

    Those that were deleted since nobody needs them any more are left out.
    """
    epochs: dict[str, list[str]] = {}
    for started in registry.epochs:
        epochs.setdefault(started.generation, []).append(str(started.epoch))
    stored = set(store.generations())
    rows: list[Sequence[str]] = []
    for name in sorted(stored | {name for name in registry.generations if not registry.is_deleted(name)}):
        known = registry.generations.get(name)
        state = known.state if known else "unregistered"
        what = ["-"] * 5
        reason = known.reason if known else ""
        if name in stored:
            try:
                manifest = store.manifest(name)
            except OryxError as error:
                reason = str(error)
            else:
                counts = manifest.counts
                sizes = [f"{count:,}" for count in (counts.users, counts.items, counts.pairs)]
                what = [*sizes, _quality(manifest.metrics), offsets(manifest.next_offsets)]
        else:
            reason = reason or "not in the store any more"
        rows.append((name, state, " ".join(epochs.get(name, ["-"])), *what, visible(reason)))
    return rows


def _quality(metrics: Mapping[str, Any]) -> str:
    """The first figure that an evaluation has in common for the model and its baseline; "-" without one."""
    found = metrics.get("evaluation", {})
    for metric, name in (("ndcg@10", "nDCG@10"), ("rmse", "RMSE")):
        figures = [
            found[ranker][metric] for ranker in ("model", "popularity", "item_mean") if metric in found.get(ranker, {})
        ]
        if figures:
            return f"{name} {' / '.join(f'{figure:.3f}' for figure in figures)}"
    return "-"


def rollback(
    context: typer.Context,
    generation: Annotated[
        str | None, typer.Argument(metavar="[GENERATION]", help="Which; without it, the one served before.")
    ] = None,
) -> None:
    """Publish an earlier generation again, as a new epoch.

    No interaction is lost: the speed layer goes back to what that generation
    covers, and replays everything since onto it, before the service changes
    over.

    Examples:

      oryx rollback
      oryx rollback 20260731T142530123-7f3a9c04
    """
    need("batch", "pyspark", "pyarrow", "pandas", "numba")
    from batch_layer.bootstrap import rollback as publish_again
    from oryx_py.adapters.places import open_registry, reach_of
    from oryx_py.local.endpoint import located
    from oryx_py.runtime.telemetry import configure_logging

    call = invocation(context)
    settings = located(call.settings())
    configure_logging(settings.log.level, settings.log.format)
    code = publish_again(settings, generation)
    if code == 0 and (newest := open_registry(settings.registry_uri, reach_of(settings)).read().newest_epoch):
        call.screen.line(f"epoch {newest.epoch}: generation {newest.generation} is published again")
    raise typer.Exit(code)
