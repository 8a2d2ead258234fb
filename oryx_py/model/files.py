"""Files of a generation: written to stay, read with suspicion.

Every writer here returns after fsync: the file's bytes are on the disk then, its name only after `sync_directory`.
Checksums are xxh3_128: they find damage (a torn copy, a flipped bit, two files exchanged), not malice, since whoever
can write a generation can write its manifest too. Every reader checks gigabytes at its start, and on one core they
run at 12 GB/s where sha256 runs at 1.3.
"""

import errno
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import Any

import msgspec
import numpy as np
import xxhash
from numpy.typing import DTypeLike, NDArray

from oryx_py.errors import CorruptGeneration, StoreUnavailable

__all__ = [
    "REMEDY",
    "DurableFile",
    "FileEntry",
    "adopt_file",
    "check_content",
    "check_size",
    "checksum",
    "create_array",
    "make_directories",
    "map_array",
    "open_array",
    "storage",
    "sync_directory",
    "write_array",
    "write_file",
    "write_span",
]

REMEDY = "restore it from a copy, or reject this generation and publish another"
_BLOCK_BYTES = 1 << 20
_UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENODEV)


class FileEntry(msgspec.Struct, frozen=True):
    """What the manifest says of a file: its size in bytes and its xxh3_128 in hexadecimal."""

    bytes: int
    xxh3_128: str


class DurableFile:
    """A new file that knows its size and checksum; ``close`` returns once the bytes are on the disk.

    It is as much of a file as ``numpy.lib.format.write_array`` needs to write in blocks, so that a mapped array is
    never copied whole.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb")
        self._hash = xxhash.xxh3_128()
        self._bytes = 0

    def write(self, block: bytes) -> int:
        """Append a block."""
        self._hash.update(block)
        self._bytes += len(block)
        return self._file.write(block)

    def close(self) -> FileEntry:
        """Flush, fsync and close."""
        with self._file:
            self._file.flush()
            os.fsync(self._file.fileno())
        return FileEntry(self._bytes, self._hash.hexdigest())

    def abandon(self) -> None:
        """Close without promising anything."""
        self._file.close()


@contextmanager
def storage(path: Path) -> Iterator[None]:
    """Translate what the operating system says about ``path`` (disk full, no permission) into one line.

    Raises:
        StoreUnavailable: for any OSError from the block.
    """
    try:
        yield
    except OSError as error:
        where = error.filename if isinstance(error.filename, str) else path
        raise StoreUnavailable(f"{where}: {error.strerror or error}; check the disk's space and permissions") from error


def write_file(path: Path, write: Callable[[DurableFile], object]) -> FileEntry:
    """Create ``path`` with what ``write`` puts into it, fsynced; a file of that name must not exist."""
    file = DurableFile(path)
    try:
        write(file)
    except BaseException:
        file.abandon()
        raise
    return file.close()


def write_array(path: Path, array: NDArray[Any]) -> FileEntry:
    """Create an ``.npy`` file, fsynced, without copying the array whole."""
    return write_file(path, lambda file: np.lib.format.write_array(file, array, allow_pickle=False))


def create_array(path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> None:
    """Create an ``.npy`` file of zeros for `write_span` to fill, or to be mapped and written (`open_array`).

    Its room is taken at once: a disk that is full when a mapped page is to be written ends the process (SIGBUS), and
    says nothing. Where the file system cannot do that, the file takes none until it is written.

    Raises:
        OSError: the disk has not the room; there is no file then.
    """
    with path.open("xb") as file:
        described = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, described)
        start, size = file.tell(), np.dtype(dtype).itemsize * math.prod(shape)
        try:
            _allocate(file.fileno(), start, size)
            file.truncate(start + size)
        except OSError as error:
            path.unlink()
            raise OSError(error.errno, error.strerror, str(path)) from error


def _allocate(descriptor: int, start: int, size: int) -> None:
    """Take room on the disk, where this system and its file system have a call for it."""
    if not size or not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(descriptor, start, size)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def open_array(path: Path) -> NDArray[Any]:
    """Map a file of `create_array` to be written, by one process alone on this machine."""
    return np.asarray(np.load(path, mmap_mode="r+", allow_pickle=False))


def write_span(path: Path, first: int, array: NDArray[Any]) -> int:
    """Write ``array`` into an ``.npy`` file from its row ``first`` on; returns the bytes, of which none may be on disk.

    Written, not mapped: on network file systems the page that two neighbours share would lose what one of them wrote.

    Raises:
        ValueError: it is not of the file's dtype, or does not fit into its rows.
    """
    with path.open("r+b", buffering=0) as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"{path} was not made by create_array")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        if array.dtype != dtype or array.shape[1:] != shape[1:] or not 0 <= first <= shape[0] - len(array):
            raise ValueError(f"{array.dtype}{array.shape} does not go to row {first} of {path}, {dtype}{shape}")
        file.seek(first * math.prod(shape[1:]) * dtype.itemsize, os.SEEK_CUR)
        left = np.ascontiguousarray(array).view(np.uint8).reshape(-1).data if array.size else memoryview(b"")
        written = len(left)
        while left:  # a raw file may take less than it is given
            left = left[file.write(left) :]
    return written


def sync_directory(path: Path) -> None:
    """Put the names in a directory on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directories(path: Path) -> None:
    """Create a directory and the missing ones above it, their names on the disk."""
    if path.is_dir():
        return
    make_directories(path.parent)
    path.mkdir(exist_ok=True)
    sync_directory(path.parent)


def adopt_file(path: Path) -> FileEntry:
    """Fsync a file that somebody else wrote, and describe it."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return FileEntry(path.stat().st_size, checksum(path))


def checksum(path: Path) -> str:
    """The xxh3_128 of a file in hexadecimal; read, not mapped, so that a file cut meanwhile is no SIGBUS."""
    digest = xxhash.xxh3_128()
    block = bytearray(_BLOCK_BYTES)
    view = memoryview(block)
    with path.open("rb", buffering=0) as file:
        while got := file.readinto(block):
            digest.update(view[:got])
    return digest.hexdigest()


def check_size(path: Path, entry: FileEntry) -> None:
    """Raise CorruptGeneration unless the file is there with the size that the manifest says."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise CorruptGeneration(f"{path} is missing: {REMEDY}") from None
    if size != entry.bytes:
        raise CorruptGeneration(f"{path} has {size} bytes, the manifest says {entry.bytes}: {REMEDY}")


def check_content(path: Path, entry: FileEntry) -> None:
    """Raise CorruptGeneration unless the file's checksum is the manifest's."""
    if checksum(path) != entry.xxh3_128:
        raise CorruptGeneration(f"{path} has another checksum than the manifest says: {REMEDY}")


def map_array(path: Path, dtype: DTypeLike, shape: tuple[int | None, ...]) -> NDArray[Any]:
    """An ``.npy`` file as a read-only array over the mapped file; None in ``shape`` stands for any length.

    Raises:
        CorruptGeneration: the file is missing, is no such file, or has another dtype, order or shape.
    """
    try:
        array: NDArray[Any] = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except FileNotFoundError:
        raise CorruptGeneration(f"{path} is missing: {REMEDY}") from None
    except (ValueError, TypeError, KeyError, EOFError, OSError, OverflowError, SyntaxError, TokenError) as error:
        raise CorruptGeneration(f"{path} is no array that NumPy can read ({error}): {REMEDY}") from error
    wanted_shape = tuple(has if want is None else want for has, want in zip(array.shape, shape, strict=False))
    fits = len(array.shape) == len(shape) and array.shape == wanted_shape
    if array.dtype != np.dtype(dtype) or not fits or not array.flags.c_contiguous:
        wanted = "×".join("n" if length is None else str(length) for length in shape)
        found = "×".join(map(str, array.shape))
        raise CorruptGeneration(f"{path} holds {array.dtype} {found}, not {np.dtype(dtype)} {wanted}: {REMEDY}")
    return array
