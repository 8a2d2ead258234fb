"""The choices of some options, apart from what carries them out, so that `--help` does not load that."""

from typing import Literal, TypeAlias

__all__ = ["BulkFormat", "Format", "TableFormat", "Topic", "Unit"]

Format: TypeAlias = Literal["csv", "tsv", "jsonl", "parquet"]

BulkFormat: TypeAlias = Literal["csv", "parquet", "movielens", "lastfm"]

TableFormat: TypeAlias = Literal["csv", "parquet"]

Unit: TypeAlias = Literal["auto", "s", "ms"]
"""Of timestamps since 1970; "auto" decides by the first one in the file."""

Topic: TypeAlias = Literal["input", "update", "dead-letter", "items"]
