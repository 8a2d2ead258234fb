"""A commit's file: a line of JSON with its number, the xxh3_128 of its payload and its writer's name; the payload."""

import secrets

import msgspec
import xxhash

from oryx_py.errors import CorruptLog
from oryx_py.ports.store import Commit

__all__ = ["Header", "as_file", "decode_commit_file", "encode_commit_file"]


class Header(msgspec.Struct, frozen=True):
    """What is said of a commit; two of them are equal where they are of one commit."""

    commit: int
    xxh3_128: str
    writer: str


def encode_commit_file(commit: Commit) -> tuple[Header, bytes]:
    """Return a new commit's header, and the bytes of its file."""
    header = Header(commit.number, xxhash.xxh3_128_hexdigest(commit.payload), secrets.token_hex(8))
    return header, as_file(header, commit)


def as_file(header: Header, commit: Commit) -> bytes:
    """Return the bytes of a commit's file."""
    return msgspec.json.encode(header) + b"\n" + commit.payload


def decode_commit_file(raw: bytes, number: int, where: str) -> tuple[Header, Commit]:
    """Return the commit of this number.

    Args:
        raw: the file.
        number: that its name has.
        where: it is, for the message.

    Raises:
        CorruptLog: it is damaged, or another commit's.
    """
    line, _, payload = raw.partition(b"\n")
    try:
        header = msgspec.json.decode(line, type=Header)
    except (msgspec.MsgspecError, ValueError) as error:
        raise CorruptLog(f"{where} is damaged ({error}): restore it from a copy") from None
    if (header.commit, header.xxh3_128) != (number, xxhash.xxh3_128_hexdigest(payload)):
        raise CorruptLog(f"{where} is damaged, its number or checksum is another: restore it from a copy")
    return header, Commit(number, payload)
