"""The measurements as a table, and what they say to the claims."""

from collections.abc import Iterator
from typing import Any

__all__ = ["judged", "table"]

SPEEDUPS = {"64": 6.0, "256": 12.0}
"""Times that MLlib is to take, at least, by features."""
NO_MORE_THAN_IMPLICIT = 2.0
NO_MORE_FOR_TEN_TIMES = 11.0


def judged(worlds: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each claim that these worlds can be held to: what was found, what was wanted, whether it holds."""
    claims = []
    for world, found in worlds.items():
        for features, trainers in found["features"].items():
            claims += list(_beside(f"{world} d={features}", features, trainers))
    for features, small in worlds.get("810k", {"features": {}})["features"].items():
        large = worlds.get("8.1m", {"features": {}})["features"].get(features)
        if large and "oryx" in small and "oryx" in large:
            ratio = large["oryx"]["s_an_epoch"] / small["oryx"]["s_an_epoch"]
            claims.append(_claim(f"d={features}: an epoch of 8.1m over one of 810k", ratio, NO_MORE_FOR_TEN_TIMES, -1))
    return claims


def _beside(where: str, features: str, trainers: dict[str, Any]) -> Iterator[dict[str, Any]]:
    ours = trainers.get("oryx")
    if ours is None:
        return
    for name, theirs in trainers.items():
        if name == "oryx":
            continue
        if not theirs["cut_short"]:
            yield _claim(f"{where}: nDCG@10 over that of {name}", ours["ndcg_at_10"] / theirs["ndcg_at_10"], 1.0, 1)
        ratio = theirs["seconds"] / ours["seconds"]
        if name == "mllib" and features in SPEEDUPS:
            of = f" with {theirs['epochs']} epochs" if theirs["cut_short"] else ""
            yield _claim(f"{where}: times faster than mllib{of}", ratio, SPEEDUPS[features], 1)
        if name == "implicit":
            yield _claim(f"{where}: time over that of implicit", 1 / ratio, NO_MORE_THAN_IMPLICIT, -1)


def _claim(what: str, found: float, wanted: float, sign: int) -> dict[str, Any]:
    return {"claim": what, "found": round(found, 3), "wanted": wanted, "holds": sign * found >= sign * wanted}


def table(found: dict[str, Any]) -> str:
    """Return it all as text."""
    lines = [f"{found['machine']}", f"sessions: {found['sessions_s']} s; algebra: {found['algebra']}"]
    for world, those in found["worlds"].items():
        lines.append("")
        lines.append(
            f"{world}: {those['pairs']:,} pairs, {those['users']:,} users, {those['items']:,} items; "
            f"{those['tested_users']:,} users tested, popularity {those['popularity_ndcg']:.4f}; "
            f"preparation {those['prepare_s']} s"
        )
        lines.append(
            f"{'d':>5} {'trainer':<9}{'seconds':>9}  {'spread':<15}{'CPU s':>8}{'epochs':>8}{'nDCG@10':>9}"
            f"{'peak MiB':>10}  hyperparameters"
        )
        for features, trainers in those["features"].items():
            for name, row in trainers.items():
                spread = f"{min(row['seconds_rounds']):.2f} … {max(row['seconds_rounds']):.2f}"
                lines.append(
                    f"{features:>5} {name:<9}{row['seconds']:>9.2f}  {spread:<15}{row['cpu_s']:>8.1f}"
                    f"{row['epochs']:>8}{row['ndcg_at_10']:>9.4f}{row['peak_mib']:>10}  "
                    f"{row['hyperparameters']} ({row['found']})"
                )
            for name, row in trainers.items():
                if "ours_is_better_by" in row:
                    more, low, high = row["ours_is_better_by"]
                    lines.append(f"{features:>5} ours over {name}: nDCG@10 {more:+.4f} ({low:+.4f} … {high:+.4f})")
    lines.append("")
    for claim in found["claims"]:
        verdict = "holds" if claim["holds"] else "FAILS"
        lines.append(f"{verdict}  {claim['claim']}: {claim['found']} (wanted: {claim['wanted']})")
    return "\n".join(lines)
