"""Reading a bulk body once, before anything of it is sent."""

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Final

from serving_layer.event_loop.bulk_write_turns import PASS_US, BulkWriteTurns
from serving_layer.http_semantics.problems import Problem
from serving_layer.http_semantics.request_bodies import too_large
from serving_layer.ingestion.formats import BulkForm, reader_of
from serving_layer.ingestion.reader import Reader, Slice
from serving_layer.ingestion.spool import Spool

__all__ = ["BodyCheck"]

_SHOWN: Final = 20
"""Bad lines named in an answer."""
_MOST_BAD: Final = 100_000
"""Bad lines after which no more is read: each costs ten times a good one's work."""
_BLOCK_BYTES: Final = 65_536
"""Read at a time, however little comes at a time: what is left of one block is looked at again with the next."""
_LINE_US: Final = 5
_BYTES_A_US: Final = 4
"""What reading takes where nothing is plain, an array's objects for one."""
_BOM: Final = b"\xef\xbb\xbf"
_GZIP: Final = b"\x1f\x8b"


class BodyCheck:
    """What a body says, as long as nothing is wrong with it, and all that is wrong.

    Args:
        spool: gets the values of all lines, each ended by a line feed, an empty one for a line without an interaction.
        now_ms: the time of those without one.
        max_bytes: of everything read, inflated.
        turns: of the loop.

    Attributes:
        lines: read so far, blank ones included.
    """

    def __init__(self, spool: Spool, *, now_ms: int, max_bytes: int, turns: BulkWriteTurns) -> None:
        self._spool, self._now_ms, self._max_bytes, self._turns = spool, now_ms, max_bytes, turns
        self.lines = 0
        self._bytes = 0
        self._bad: list[str] = []
        self._bad_count = 0
        self._packed = False

    async def read(self, pieces: AsyncIterator[bytes], form: BulkForm, where: str = "") -> None:
        """Read a body, or one of its files.

        Args:
            pieces: its content.
            form: how it is read.
            where: its name and a comma, before the numbers of its lines.

        Raises:
            Problem: 413 too large; 400, nothing can be read from somewhere on; 429 too much is being read.
            StoreUnavailable: the disk is full, or does not work.
        """
        reader = reader_of(form, self._now_ms)
        block = bytearray()
        begun = False
        async for piece in pieces:
            self._count(len(piece))
            block += piece
            self._packed |= not begun and block.startswith(_GZIP)
            if len(block) >= _BLOCK_BYTES:
                await self._feed(reader, _opened(block, begun=begun), where, last=False)
                block.clear()
                begun = True
        await self._feed(reader, _opened(block, begun=begun), where, last=True)

    def finish(self) -> None:
        """Say what was wrong.

        Raises:
            Problem: 400, something was.
        """
        if self._bad_count:
            least = "at least " if self._bad_count >= _MOST_BAD else ""
            more = f"; and {least}{self._bad_count - len(self._bad)} more" if self._bad_count > len(self._bad) else ""
            hint = "; a body that is gzip needs the header Content-Encoding: gzip" if self._packed else ""
            raise Problem(HTTPStatus.BAD_REQUEST, f"nothing was stored. {'; '.join(self._bad)}{more}{hint}")

    async def _feed(self, reader: Reader, block: bytes, where: str, *, last: bool) -> None:
        cost_us = block.count(b"\n") * _LINE_US + len(block) // _BYTES_A_US
        if cost_us < PASS_US:
            await self._turns.next(cost_us)
        for slice_ in reader.feed(block, last=last):
            self._note(slice_, f"{where}{reader.unit}")
            if slice_.broken or self._bad_count >= _MOST_BAD:
                self.finish()
            self.lines += slice_.values.count(b"\n")
            if not self._bad_count:
                await self._spool.write(slice_.values)
            if cost_us >= PASS_US:
                await self._turns.next()

    def _note(self, slice_: Slice, what: str) -> None:
        self._bad_count += len(slice_.bad)
        self._bad += [f"{what} {line.number}: {line.reason}" for line in slice_.bad[: _SHOWN - len(self._bad)]]

    def _count(self, size: int) -> None:
        self._bytes += size
        if self._bytes > self._max_bytes:
            raise too_large(self._max_bytes)


def _opened(block: bytearray, *, begun: bool) -> bytes:
    """Return the block, the first one without its byte order mark."""
    return bytes(block) if begun else bytes(block).removeprefix(_BOM)
