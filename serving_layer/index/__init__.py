"""Searching the items: the generation's index, which never changes, the delta over it, and the order of answers.

Exact, in NumPy and faiss; imports nothing of this service.
"""

from serving_layer.index.batch_scan import BatchScan, Found
from serving_layer.index.delta import Delta
from serving_layer.index.exact import ExactIndex
from serving_layer.index.item_index import ItemIndex

__all__ = ["BatchScan", "Delta", "ExactIndex", "Found", "ItemIndex"]
