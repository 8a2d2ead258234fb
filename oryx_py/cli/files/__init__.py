"""Files of interactions: CSV, TSV, JSON lines, Parquet, each also compressed by gzip."""

from oryx_py.cli.files.opening import InteractionFile, open_interactions
from oryx_py.cli.files.rows import FORMATS, Format, Row, Unit

__all__ = ["FORMATS", "Format", "InteractionFile", "Row", "Unit", "open_interactions"]
