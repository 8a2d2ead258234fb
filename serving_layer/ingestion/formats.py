"""How bulk bodies, and files in them, are read: by their types and names. Pure."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import Final, Literal, TypeAlias

from serving_layer.http_semantics.problems import Problem, quoted
from serving_layer.ingestion.json_bodies import JsonReader
from serving_layer.ingestion.lines import csv_reader, ndjson_reader
from serving_layer.ingestion.reader import Reader

__all__ = ["FORMS", "BulkForm", "body_form", "file_form", "reader_of"]

BulkForm: TypeAlias = Literal["lines", "ndjson", "json"]
"""CSV lines (or JSON arrays of the same fields), a JSON object a line, or what `JsonReader` takes the body for."""

FORMS: Final[Mapping[str, BulkForm]] = {
    "text/csv": "lines",
    "text/plain": "lines",
    "application/x-www-form-urlencoded": "lines",  # what curl --data says of any body, unless told otherwise
    "application/json": "json",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
}
"""By media type."""

_ENDINGS: Final[Mapping[str, BulkForm]] = {".json": "json", ".jsonl": "ndjson", ".ndjson": "ndjson"}
_SAY_NOTHING: Final = {
    "",
    "text/plain",
    "application/octet-stream",
    "application/gzip",
    "application/x-gzip",
    "application/zip",
    "application/x-zip-compressed",
    "application/vnd.ms-excel",  # what browsers on Windows say of a .csv
}
"""Types of files whose content may be anything, so that the name decides."""
_CHARSETS: Final = {"utf-8", "utf8", "us-ascii", "ascii"}
_READERS: Final[Mapping[BulkForm, Callable[[int], Reader]]] = {
    "lines": csv_reader,
    "ndjson": ndjson_reader,
    "json": JsonReader,
}


def reader_of(form: BulkForm, now_ms: int) -> Reader:
    """Return a new reader; interactions without a time are of ``now_ms``."""
    return _READERS[form](now_ms)


def body_form(media_type: str, charset: str | None) -> BulkForm:
    """Return how a whole body is read; no type means lines.

    Raises:
        Problem: 415.
    """
    form = FORMS.get(media_type or "text/csv")
    if form is None:
        raise _unknown(
            "Content-Type must be text/csv, application/json, application/x-ndjson or multipart/form-data", media_type
        )
    _check_charset(charset)
    return form


def file_form(media_type: str, charset: str | None, name: str) -> BulkForm:
    """Return how a file, compressed or not, is read: by its type or, where that says nothing, by its name's ending.

    Raises:
        Problem: 415.
    """
    _check_charset(charset)
    if media_type not in _SAY_NOTHING:
        if media_type not in FORMS:
            raise _unknown("a part's Content-Type must be one of lines, JSON, gzip or zip", media_type)
        return FORMS[media_type]
    path = PurePosixPath(name.lower())
    return _ENDINGS.get((path.with_suffix("") if path.suffix == ".gz" else path).suffix, "lines")


def _check_charset(charset: str | None) -> None:
    if charset and charset.lower() not in _CHARSETS:
        raise _unknown("the charset must be utf-8", charset)


def _unknown(rule: str, found: str) -> Problem:
    return Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"{rule}, not {quoted(found)}")
