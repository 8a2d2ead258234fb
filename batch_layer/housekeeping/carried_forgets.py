"""Forgets whose files are dropped for their age or number: which are looked for, and the rows that stay of them. Pure.

What they forget was removed before, or goes with them. But old data may be imported at any time, as rows before all of
the topic, and would bring back who was forgotten. So the newest forget of each user and item that counts stays, without
its key, in one file that is never dropped, merged or written anew; the next ones take it in.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
import pyarrow as pa

from batch_layer.folding.forgotten_rows import Forgets
from batch_layer.folding.input_rows import HISTORY_SCHEMA
from oryx_py.model.history.commits import History, HistoryFile

__all__ = ["Carrying", "carried", "carrying", "rows_of"]


@dataclass(frozen=True, slots=True)
class Carrying:
    """What is looked at: ``told`` has forgets, ``keyed`` with these all rows that they may repeat.

    ``earlier``: the file that was carried on before, which a new one takes the place of. ``origin`` is the newest
    commit whose rows are dropped, ``last_ms`` a time before which all of them arrived.
    """

    told: Sequence[HistoryFile]
    keyed: Sequence[HistoryFile]
    earlier: Sequence[HistoryFile]
    origin: int
    last_ms: int


def carrying(history: History, dropped: Iterable[HistoryFile], now_ms: int) -> Carrying | None:
    """Return where to look for forgets that have to stay; None where there are none but those carried on already.

    What an import forgets comes before all later imports, and goes with it.

    Args:
        history: as it is now.
        dropped: its files that go.
        now_ms: since 1970.
    """
    of_topic = [file for file in dropped if file.origin not in history.imports]
    told = [file for file in of_topic if file.forgets is not False]
    if not told:
        return None
    earlier = [file for file in history.files if file.carried]
    origin = max(file.origin for file in of_topic)
    keyed = [file for file in history.files if file.first_commit <= origin and file.origin not in history.imports]
    last_ms = max(now_ms if file.last_ms is None else file.last_ms for file in (*told, *earlier))
    return Carrying([*told, *earlier], keyed, earlier, origin, last_ms)


def rows_of(forgets: pa.Table, last_ms: int) -> pa.Table:
    """Return rows of `HISTORY_SCHEMA` for forgets of `Forgets.COLUMNS`, which arrived no later than this."""
    told = dict(zip(Forgets.COLUMNS, (forgets.column(name) for name in Forgets.COLUMNS), strict=True))
    told["kafka_ms"] = pa.chunked_array([pa.array([last_ms] * forgets.num_rows, pa.int64())])
    rows = [
        told[field.name].cast(field.type) if field.name in told else pa.nulls(forgets.num_rows, field.type)
        for field in HISTORY_SCHEMA
    ]
    return pa.table(rows, schema=HISTORY_SCHEMA).sort_by([("partition", "ascending"), ("offset", "ascending")])


def carried(file: HistoryFile, origin: int) -> HistoryFile:
    """Return the entry of a file of such rows; to readers it has rows of that commit."""
    return msgspec.structs.replace(file, origin=origin, carried=True)
