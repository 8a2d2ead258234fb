"""What ``oryx evaluate prequential`` says: as tables for people, as one object for programs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from batch_layer.recipe import Recipe
from oryx_py.cli.evaluate.arms import TITLES, ArmName
from oryx_py.cli.evaluate.figures import DRAWS, GROUPS, METRICS, Difference, Figures, Mean, Recovered
from oryx_py.cli.evaluate.replay import Costs, Part, Replay
from oryx_py.cli.screen import Screen
from oryx_py.errors import NearSingular
from oryx_py.model.generations.generation import Generation
from oryx_py.numerics.ranking.resampling import Interval
from speed_layer.oryx_rule.steps import Solvers

__all__ = ["METHOD", "as_object", "headline", "notes", "show"]

METHOD: Final = (
    f"paired bootstrap: {DRAWS:,} draws of as many users as there are, with replacement and all their interactions; "
    "the 2.5 % and 97.5 % percentiles of the means over interactions, all arms by the same draws"
)

_NAMES: Final = {"ndcg@10": "nDCG@10", "hit_rate@10": "hit rate@10", "mrr": "MRR"}


def show(screen: Screen, replay: Replay, found: Figures, every: int) -> None:
    """Print it as tables."""
    counts = replay.counts
    screen.line(
        f"{counts.trained:,} interactions trained on, then {counts.replayed:,} replayed: "
        f"{counts.ranked:,} ranked, {counts.repeats:,} with an item known already, {counts.others:,} others"
    )
    for note in notes(replay.generation, replay.names):
        screen.line(note)
    screen.heading("What the arms foresee")
    screen.table(
        ("users", "cases", "arm", *(_NAMES[metric] for metric in METRICS)), _mean_rows(found), right=(1, 3, 4, 5)
    )
    screen.heading("Differences, all cases, with their 95 % intervals")
    rows = [row for row in _difference_rows(found) if row]
    screen.table(("", "nDCG@10", "", "hit rate@10", ""), rows, right=(1, 3))
    screen.heading(f"Of what retraining every {every:,} interactions gains over no update, an arm recovers")
    _show_recovered(screen, found)
    screen.heading("What it takes")
    screen.table(
        ("arm", "ranking ms", "learning ms", "trainings", "CPU s", "seconds"), _cost_rows(replay), right=(1, 2, 3, 4, 5)
    )
    screen.line(
        "milliseconds of CPU for each interaction; trainings beside the first, which took "
        f"{replay.first.cpu_s:.1f} s of CPU, {replay.first.wall_s:.1f} s in all"
    )
    screen.line()
    screen.line(f"Intervals: {METHOD}.")


def as_object(replay: Replay, found: Figures, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return it all for JSON; what is not known is null."""
    return {
        **about,
        "counts": asdict(replay.counts),
        "method": METHOD,
        "groups": {group: {"cases": cases, "users": users} for group, (cases, users) in found.cases.items()},
        "means": [_told(mean, "mean") for mean in found.means],
        "differences": [_told(difference, "difference") for difference in found.differences],
        "recovered": [_told(share, "share") for share in found.recovered],
        "first_training": asdict(replay.first),
        "costs": {name: asdict(cost) for name, cost in replay.costs.items()},
    }


def headline(recipe: Recipe, generation: Generation) -> str:
    """Say how the models are trained, and for what loss the first of them was."""
    objective = generation.manifest.objective
    kind = "MLlib's loss" if objective.rho == 0 else "the loss of iALS"
    alpha = f"{objective.alpha:g}" if recipe.alpha is None else f"{recipe.alpha:g} for the mean strength"
    return (
        f"{recipe.features} features, {recipe.iterations} sweeps, {objective.feedback} feedback, {kind}: "
        f"lambda {objective.lambda_:g}, alpha {alpha}, nu {objective.nu:g}"
        + (f", unobserved_weight {objective.g:g}" if objective.rho else "")
        + f"; seed {recipe.seed}"
    )


def notes(generation: Generation, names: Sequence[ArmName]) -> list[str]:
    """What has to be known of the first model to read the figures."""
    if "oryx" in names:
        try:
            Solvers.of(generation.user_gram, generation.item_gram)
        except NearSingular as reason:
            return [f"Oryx's rule folds nothing in here: {reason}"]
    return []


def _told(figure: Mean | Difference | Recovered, value: str) -> dict[str, Any]:
    fields = figure._asdict()
    low, high = fields.pop("interval")
    return {**fields, value: _number(fields[value]), "low": _number(low), "high": _number(high)}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _mean_rows(found: Figures) -> list[tuple[str, ...]]:
    by_place = {(mean.group, mean.metric, mean.arm): mean.mean for mean in found.means}
    rows = []
    for group in GROUPS:
        cases, users = found.cases[group]
        arms = [mean.arm for mean in found.means if mean.group == group and mean.metric == METRICS[0]]
        for place, arm in enumerate(arms):
            said = (f"{group} ({users:,})", f"{cases:,}") if place == 0 else ("", "")
            rows.append((*said, TITLES[arm], *(f"{by_place[group, metric, arm]:.4f}" for metric in METRICS)))
    return rows


def _difference_rows(found: Figures) -> list[tuple[str, ...]]:
    """A row for each pair of arms of which one is no update or the speed layer."""
    of_pair: dict[tuple[ArmName, ArmName], list[str]] = {}
    for difference in found.differences:
        pair = (difference.arm, difference.over)
        if difference.group == GROUPS[0] and difference.metric in METRICS[:2] and {"none", "speed"} & set(pair):
            of_pair.setdefault(pair, []).extend((f"{difference.difference:+.4f}", _between(difference.interval)))
    return [(f"{TITLES[arm]} over {TITLES[over]}", *cells) for (arm, over), cells in of_pair.items()]


def _show_recovered(screen: Screen, found: Figures) -> None:
    rows = [
        (share.group, _NAMES[share.metric], TITLES[share.arm], f"{100 * share.share:.0f} %", _percent(share.interval))
        for share in found.recovered
        if share.metric in METRICS[:2] and share.group != "new items"
    ]
    if rows:
        screen.table(("users", "", "arm", "", ""), rows, right=(3,))
    else:
        screen.line("no share: that gain's interval is nowhere above 0")


def _cost_rows(replay: Replay) -> list[tuple[str, ...]]:
    return [(TITLES[name], *_cost_cells(costs)) for name, costs in replay.costs.items()]


def _cost_cells(costs: Costs) -> tuple[str, ...]:
    parts = (costs.ranking, costs.learning, costs.training)
    return (
        _each(costs.ranking),
        _each(costs.learning),
        f"{costs.training.times:,}",
        f"{sum(part.cpu_s for part in parts):.1f}",
        f"{sum(part.wall_s for part in parts):.1f}",
    )


def _each(part: Part) -> str:
    return f"{1000 * part.cpu_s / part.times:.3f}" if part.times else "-"


def _between(found: Interval) -> str:
    return f"{found.low:+.4f} … {found.high:+.4f}"


def _percent(found: Interval) -> str:
    return f"{100 * found.low:.0f} … {100 * found.high:.0f} %"
