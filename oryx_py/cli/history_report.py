"""What ``oryx history`` prints. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from oryx_py.cli.visible import visible
from oryx_py.model.history.commits import History, HistoryCommit, HistoryFile

__all__ = ["COMMITS", "commit_rows", "days", "size", "totals"]

COMMITS = ("commit", "time", "kind", "files", "rows", "bytes", "days", "offsets")


def commit_rows(commits: Iterable[HistoryCommit]) -> list[Sequence[str]]:
    """Return a row for each commit, in `COMMITS`: what it added, and how many files it dropped or merged."""
    rows: list[Sequence[str]] = []
    for commit in commits:
        said = _spans(commit.input)
        if commit.sources:
            said = " ".join(visible(source.name, 60) for source in commit.sources)
        if commit.dropped:
            said = f"{len(commit.dropped):,} files {'merged' if commit.kind == 'merge' else 'dropped'}"
        rows.append(
            (
                str(commit.number),
                _time(commit.time_ms),
                commit.kind,
                f"{len(commit.files):,}",
                f"{sum(file.rows for file in commit.files):,}",
                size(sum(file.bytes for file in commit.files)),
                days(commit.files),
                said,
            )
        )
    return rows


def totals(
    history: History,
    commits: Sequence[HistoryCommit],
    dropping: Sequence[HistoryFile],
    merging: Sequence[Sequence[HistoryFile]],
    compacted: str,
) -> list[Sequence[str]]:
    """Return a row for each thing that is true of the whole history.

    Args:
        history: as of its last commit.
        commits: all of them.
        dropping: the files that the next generation drops.
        merging: small files that become one each.
        compacted: what there is of the folded pairs, in words.
    """
    imported = sum(end - start for commit in commits for start, end in commit.imported.values())
    gone = sum(file.rows for file in dropping)
    small = [file for group in merging for file in group]
    return [
        ("commits", f"{history.number:,}"),
        ("files", f"{len(history.files):,}"),
        ("rows", f"{history.rows:,}"),
        ("bytes", size(sum(file.bytes for file in history.files))),
        ("days", days(history.files)),
        ("offsets", _spans(history.input)),
        ("imported rows", f"{imported:,}"),
        ("records left out", f"{history.rejected:,}"),
        ("folded pairs", compacted),
        ("will be dropped", f"{gone:,} rows in {len(dropping):,} files, {days(dropping)}" if dropping else "nothing"),
        ("will be merged", f"{len(small):,} files into {len(merging):,}, {days(small)}" if small else "nothing"),
    ]


def days(files: Sequence[HistoryFile]) -> str:
    """Return the days of arrival, ``2026-07-01 … 2026-07-31``; ``-`` where no file says."""
    told = [(file.first_ms, file.last_ms) for file in files]
    first = min((first for first, _ in told if first is not None), default=None)
    last = max((last for _, last in told if last is not None), default=None)
    if first is None or last is None:
        return "-"
    return _time(first)[:10] if _time(first)[:10] == _time(last)[:10] else f"{_time(first)[:10]} … {_time(last)[:10]}"


def size(count: int) -> str:
    """Return bytes as ``12.3 MB``."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} B"


def _spans(spans: Mapping[int, tuple[int, int]]) -> str:
    """``0:10–25``: by partition, from the first offset to before the last."""
    return " ".join(f"{p}:{start}–{end}" for p, (start, end) in sorted(spans.items())) or "-"


def _time(time_ms: int) -> str:
    return datetime.fromtimestamp(max(0, time_ms) / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
