"""Interactions: parsing, encoding, and the fold of their log."""

from oryx_py.events.codec import encode_csv, parse_object, parse_value
from oryx_py.events.columns import InteractionColumns
from oryx_py.events.dedupe import IdWindow, SeenIds, reaches
from oryx_py.events.fold import FoldSettings, KindSettings, fold_columns, fold_pair
from oryx_py.events.ids import check_id
from oryx_py.events.interaction import Action, Interaction
from oryx_py.events.weighing import time_of, times_of, weigh, weigh_columns

__all__ = [
    "Action",
    "FoldSettings",
    "IdWindow",
    "Interaction",
    "InteractionColumns",
    "KindSettings",
    "SeenIds",
    "check_id",
    "encode_csv",
    "fold_columns",
    "fold_pair",
    "parse_object",
    "parse_value",
    "reaches",
    "time_of",
    "times_of",
    "weigh",
    "weigh_columns",
]
