"""Files of interactions: CSV, TSV, JSON lines, Parquet, each also compressed by gzip."""

from oryx_py.cli.files.opening import InteractionFile, open_interactions
from oryx_py.cli.files.rows import Row

__all__ = ["InteractionFile", "Row", "open_interactions"]
