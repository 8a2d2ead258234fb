"""Undoing a compression piece by piece, in bounded memory. Pure."""

import zlib
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

from serving_layer.http_semantics.problems import Problem

__all__ = ["ENCODINGS", "Inflater"]

ENCODINGS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""What can be inflated, and zlib's bits of the window for it."""

_PIECE_BYTES = 65_536
"""Inflated at a time: a fifth of a millisecond of the loop."""
_RAW_DEFLATE = -15


class Inflater:
    """Undoes gzip, of one or several members, or deflate, with or without zlib's header.

    Args:
        encoding: ``gzip``, ``x-gzip`` or ``deflate``.
        what: is inflated, for messages.
    """

    def __init__(self, encoding: str, what: str = "the body") -> None:
        self._encoding, self._what = encoding, what
        self._stream: zlib._Decompress | None = None
        self._began = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Inflate more of it, in pieces of a bounded size.

        Raises:
            Problem: 400.
        """
        while True:
            stream = self._stream or self._next(data)
            try:
                piece = stream.decompress(data, _PIECE_BYTES)
            except zlib.error as error:
                raise self._damaged(str(error)) from None
            if piece:
                yield piece
            if stream.eof:
                data, self._stream = stream.unused_data, None
            else:
                data = stream.unconsumed_tail
            # A full piece may have left more behind inside zlib, without any input left.
            if not data and (self._stream is None or len(piece) < _PIECE_BYTES):
                return

    def finish(self) -> None:
        """Check that it is whole.

        Raises:
            Problem: 400.
        """
        if self._stream is not None:
            raise self._damaged("it ends too early")

    def _next(self, data: bytes) -> "zlib._Decompress":
        if self._began and self._encoding == "deflate":
            raise self._damaged("something follows its end")
        self._began = True
        bits = ENCODINGS[self._encoding]
        # zlib's header: method 8 in the low half of the first byte. Without, it is what some clients take deflate for.
        if self._encoding == "deflate" and data[0] & 0x0F != 8:
            bits = _RAW_DEFLATE
        self._stream = zlib.decompressobj(wbits=bits)
        return self._stream

    def _damaged(self, why: str) -> Problem:
        return Problem(HTTPStatus.BAD_REQUEST, f"{self._what} is not whole {self._encoding}: {why}")
