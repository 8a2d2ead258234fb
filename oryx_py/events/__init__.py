"""Interactions: parsing, encoding, and the fold of their log."""

from oryx_py.events.codec import encode_csv, parse_object, parse_value
from oryx_py.events.dedupe import SeenIds, reaches
from oryx_py.events.fold import FoldSettings, fold_columns, fold_pair
from oryx_py.events.ids import check_id
from oryx_py.events.interaction import Action, Interaction

__all__ = [
    "Action",
    "FoldSettings",
    "Interaction",
    "SeenIds",
    "check_id",
    "encode_csv",
    "fold_columns",
    "fold_pair",
    "parse_object",
    "parse_value",
    "reaches",
]
