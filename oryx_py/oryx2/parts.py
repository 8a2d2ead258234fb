"""The vectors of an Oryx 2 model: text files with a line ``["id",[f,…]]`` a row, as Spark saved them."""

import gzip
import posixpath
import zlib
from array import array
from collections.abc import Iterator
from typing import IO, NamedTuple, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from oryx_py.errors import BadInteraction, BadMessage
from oryx_py.events.ids import MAX_ID_BYTES, check_id

__all__ = ["ModelFiles", "ModelFolder", "read_rows"]

_Row = tuple[str, list[float]]
_row = msgspec.json.Decoder(_Row)
# An escaped character takes six bytes, a number with sign, digits and exponent up to 25 with its comma.
_LINE_BYTES = 6 * MAX_ID_BYTES + 64
_NUMBER_BYTES = 32


class ModelFolder(Protocol):
    """The files of one model; paths are relative to its folder ``root``, with ``/`` between names. Calls block.

    Raises, from both methods:
        StoreUnavailable: what is asked for is not there, or cannot be read now.
        BadMessage: the path leads out of the folder.
    """

    @property
    def root(self) -> str:
        """The folder's own path, absolute, without a slash at its end."""
        ...

    def names(self, path: str) -> list[str]:
        """Names of the files in a folder below, ascending."""
        ...

    def open(self, path: str) -> IO[bytes]:
        """Open a file for reading; the caller closes it."""
        ...


class ModelFiles(NamedTuple):
    """A PMML document, and the folder that it lies in."""

    document: bytes
    folder: ModelFolder


def read_rows(
    folder: ModelFolder, path: str, features: int, max_rows: int
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Iterate over the IDs and vectors, float32[features], of one side's files ``part-*``, gzip or plain.

    Args:
        folder: of the model.
        path: where below it the files are, as the PMML says.
        features: the length of every vector.
        max_rows: how many rows are allowed.

    Raises:
        BadMessage: the path leads out of the model's folder, there is no such file, or one cannot be read; names it.
        StoreUnavailable: the store does not give them now.
    """
    below = _inside(path, folder.root)
    names = [name for name in folder.names(below) if name.startswith("part-")]
    if not names:
        raise BadMessage(f"{below} of the model has no files part-*")
    rows = 0
    for name in names:
        where = posixpath.join(below, name)
        with folder.open(where) as file:
            for row in _rows_of(file, where, features):
                rows += 1
                if rows > max_rows:
                    raise BadMessage(f"{below} of the model has more than {max_rows} rows")
                yield row


def _inside(path: str, root: str) -> str:
    """Return a path below the model's folder in its shortest form, relative to that folder."""
    below = posixpath.normpath(path.removeprefix(f"{root}/"))
    if not path or any(sign in below for sign in "\0\\:") or posixpath.isabs(below) or below.split("/")[0] == "..":
        raise BadMessage(f"{path[:200]!r} leads out of the model's folder")
    return below


def _rows_of(file: IO[bytes], where: str, features: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
    lines = gzip.GzipFile(fileobj=file) if where.endswith(".gz") else file
    limit, number = _LINE_BYTES + features * _NUMBER_BYTES, 0
    try:
        while line := lines.readline(limit + 1):
            number += 1
            if len(line) > limit:
                raise BadMessage(f"{where}: line {number} has more than {limit} bytes")
            if line.strip():
                yield _read(line, features, where, number)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BadMessage(f"{where} is damaged after line {number}: {error}") from None


def _read(line: bytes, features: int, where: str, number: int) -> tuple[str, NDArray[np.float32]]:
    try:
        name, numbers = _row.decode(line)
        check_id(name, "the ID")
    except (msgspec.DecodeError, UnicodeDecodeError, BadInteraction) as error:
        raise BadMessage(f"{where}: line {number}: {str(error)[:200]}") from None
    if len(numbers) != features:
        raise BadMessage(f"{where}: line {number} has a vector of {len(numbers)} numbers, the model has {features}")
    vector = np.frombuffer(array("f", numbers), np.float32)
    if not np.isfinite(vector).all():
        raise BadMessage(f"{where}: line {number} has a number too large for float32")
    return name, vector
