"""A report of progress in words, and the time that is left. Pure."""

from batch_layer.telemetry.progress import Progress

__all__ = ["fields_of", "left_s", "line_of"]


def left_s(first: tuple[float, float], now: tuple[float, float]) -> float | None:
    """Return how many seconds a step will still take if it goes on as it did; None where that cannot be told yet.

    Args:
        first: a time, and how much was done by then, 0 … 1.
        now: the same, later.
    """
    seconds, done = now[0] - first[0], now[1] - first[1]
    return (1.0 - now[1]) * seconds / done if done > 0.0 else None


def line_of(progress: Progress, left: float | None) -> str:
    """Return what is known of a step, in a line."""
    parts = []
    if progress.epoch is not None:
        parts.append(f"epoch {progress.epoch}" + (f" of {progress.of}" if progress.of else ""))
    elif progress.rows is not None:
        parts.append(f"{progress.rows:,}" + (f" of {progress.of:,}" if progress.of else "") + " rows")
    if progress.loss is not None:
        parts.append(f"loss {progress.loss:.4g}")
    if progress.ndcg is not None:
        parts.append(f"nDCG {progress.ndcg:.4f}")
    if left is not None:
        parts.append(f"{_time(left)} left")
    return ", ".join(parts)


def fields_of(progress: Progress, left: float | None) -> dict[str, float]:
    """Return what an event of the log says of a step; what is not known is left out."""
    fields = {
        "rows": progress.rows,
        "epoch": progress.epoch,
        "of": progress.of,
        "loss": progress.loss,
        "ndcg": progress.ndcg,
        "seconds_left": None if left is None else round(left, 1),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _time(seconds: float) -> str:
    whole = round(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {whole % 60:02} s" if minutes else f"{whole} s"
