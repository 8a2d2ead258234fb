"""Removes the rows' files that no commit names, and none will.

1. read the history, and look which directories have neither files of it nor such as a merge has left for its readers;
2. commit nothing: an empty commit, of the next number;
3. remove these directories.

The lock says that nobody else is at work, and may be wrong about it: a holder that slept was taken for dead, and wakes
up. But whoever writes into a directory found in 1 has read the history before that, so the commit that would name it
has a number up to that of 2. That one is taken now: the directories can go, however much later. Fails 2: somebody
else has committed, so it was not alone. Fails 3: the next one begins anew.
"""

import structlog

from batch_layer.history.folder import HistoryFolder
from oryx_py.adapters.commit_logs.history_log import HistoryLog
from oryx_py.model.history.commits import History

__all__ = ["sweep_rows"]

log = structlog.get_logger("batch")


def sweep_rows(commits: HistoryLog, folder: HistoryFolder, history: History, now_ms: int) -> History:
    """Remove what dead processes left of rows; returns the history, with one more commit where there was any.

    Args:
        commits, folder: the history.
        history: as it was read last.
        now_ms: since 1970.

    Raises:
        CommitConflict: somebody else is at work; nothing was removed.
        StoreUnavailable: try again.
    """
    names = folder.uncommitted((*history.files, *history.replaced))
    if not names:
        return history
    history = commits.append(history, [], {}, 0, now_ms)
    folder.drop(names)
    for name in names:
        log.info("uncommitted_rows_swept", directory=name)
    return history
