"""Compressing an answer: as a whole, or piece by piece. Pure."""

import math
import zlib
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final, Protocol

import brotli
import zstandard

from serving_layer.http_semantics.accept_encoding import Coding

__all__ = ["WORTH_COMPRESSING_BYTES", "compressed", "compressed_pieces"]

WORTH_COMPRESSING_BYTES: Final = 1400
"""What fits into one packet is not sent faster when it is smaller."""

_ZSTD_LEVEL: Final = 3
_BROTLI_QUALITY: Final = 4
_ZLIB_LEVEL: Final = 5
_GZIP_BITS: Final = 31
_ZLIB_BITS: Final = 15

_HELD_BYTES: Final = 65_536
"""Taken in, at most, before something comes out: zstd would keep 128 kB of input, brotli up to 256 kB."""
_HELD_S: Final = 0.5


class Compressor(Protocol):
    """Compresses a stream; what it returns may be empty until there is enough."""

    def compress(self, data: bytes, /) -> bytes:
        """Take more."""
        ...

    def so_far(self) -> bytes:
        """Return what is needed to undo all that was taken so far."""
        ...

    def flush(self) -> bytes:
        """Return the rest."""
        ...


def compressed(body: bytes, coding: Coding) -> bytes:
    """Compress a whole body."""
    if coding == "br":
        return bytes(brotli.compress(body, mode=brotli.MODE_TEXT, quality=_BROTLI_QUALITY))
    if coding == "zstd":
        return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(body)
    stream = _STREAMS[coding]()
    return stream.compress(body) + stream.flush()


async def compressed_pieces(
    pieces: AsyncGenerator[bytes], coding: Coding, monotonic: Callable[[], float]
) -> AsyncGenerator[bytes]:
    """Compress an answer that comes piece by piece; pieces of the same whole, but others.

    The first comes out at once, whatever the coding, and later ones soon: an answer that is made slowly is seen to
    be made. ``monotonic`` tells the time in seconds.
    """
    stream = _STREAMS[coding]()
    held, shown_at = 0, -math.inf
    async with aclosing(pieces):
        async for piece in pieces:
            made = stream.compress(piece)
            held += len(piece)
            if held and (held >= _HELD_BYTES or monotonic() - shown_at >= _HELD_S):
                made += stream.so_far()
                held, shown_at = 0, monotonic()
            if made:
                yield made
    yield stream.flush()


class _Brotli:
    def __init__(self) -> None:
        self._stream = brotli.Compressor(mode=brotli.MODE_TEXT, quality=_BROTLI_QUALITY)

    def compress(self, data: bytes, /) -> bytes:
        return bytes(self._stream.process(data))

    def so_far(self) -> bytes:
        return bytes(self._stream.flush())

    def flush(self) -> bytes:
        return bytes(self._stream.finish())


class _Zstd:
    def __init__(self) -> None:
        self._stream = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compressobj()

    def compress(self, data: bytes, /) -> bytes:
        return self._stream.compress(data)

    def so_far(self) -> bytes:
        return self._stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

    def flush(self) -> bytes:
        return self._stream.flush()


class _Zlib:
    def __init__(self, bits: int) -> None:
        self._stream = zlib.compressobj(_ZLIB_LEVEL, wbits=bits)

    def compress(self, data: bytes, /) -> bytes:
        return self._stream.compress(data)

    def so_far(self) -> bytes:
        return self._stream.flush(zlib.Z_SYNC_FLUSH)

    def flush(self) -> bytes:
        return self._stream.flush()


class _Plain:
    def compress(self, data: bytes, /) -> bytes:
        return data

    def so_far(self) -> bytes:
        return b""

    def flush(self) -> bytes:
        return b""


_STREAMS: Final[dict[Coding, Callable[[], Compressor]]] = {
    "zstd": _Zstd,
    "br": _Brotli,
    "gzip": lambda: _Zlib(_GZIP_BITS),
    # What HTTP calls deflate has zlib's header.
    "deflate": lambda: _Zlib(_ZLIB_BITS),
    "identity": _Plain,
}
