"""Searching the items: the generation's index, which never changes, and the delta over it."""

from serving_layer.index.delta import Delta
from serving_layer.index.exact import ExactIndex
from serving_layer.index.many import Found, ManySearch
from serving_layer.index.port import ItemIndex

__all__ = ["Delta", "ExactIndex", "Found", "ItemIndex", "ManySearch"]
