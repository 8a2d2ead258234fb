"""Where generations and commits are kept."""

from pathlib import Path
from typing import Protocol

import msgspec

from oryx_py.model.generations.manifest import Manifest

__all__ = ["ArtefactStore", "Commit", "CommitLog"]


class ArtefactStore(Protocol):
    """Directories of files, each written once under the name of its generation and never changed afterwards.

    A generation exists from the moment its ``manifest.json`` is visible, which is the last of its files to become so.
    One process writes a generation; any number may read. Calls block on the disk or the network.

    Checkpoints of the speed layer are kept the same way, in a store of their own: what is said here of generations
    holds for these, except for `manifest`, which is a generation's.
    """

    def uri(self, generation: str) -> str:
        """Where the generation is or will be, as it goes into ``MODEL-REF``."""

    def stage(self, generation: str) -> Path:
        """Return an empty local directory to write the generation's files into; an earlier attempt's is dropped."""

    def commit(self, generation: str) -> None:
        """Make the staged files visible and durable, ``manifest.json`` last of all.

        Raises:
            CommitConflict: a generation of this name exists.
            CorruptGeneration: the staged directory has no ``manifest.json``.
        """

    def local(self, uri_or_generation: str) -> Path:
        """Return a local directory that has all files of a committed generation.

        Raises:
            CorruptGeneration: there is no such generation, or its files are not all there.
        """

    def raw_manifest(self, uri_or_generation: str) -> bytes:
        """Return the bytes of a committed generation's ``manifest.json``, without getting the rest.

        Raises:
            CorruptGeneration: there is no such generation.
        """

    def manifest(self, uri_or_generation: str) -> Manifest:
        """Return a committed generation's manifest, without getting the rest.

        Raises:
            CorruptGeneration: there is no such generation, or its manifest is damaged.
            UnsupportedFormat: it was written by a newer version.
        """

    def generations(self) -> list[str]:
        """Names of the committed generations, ascending."""

    def incomplete(self) -> list[str]:
        """Names of what was staged or half written and never committed, ascending: rubbish, unless written just now."""

    def discard(self, generation: str) -> None:
        """Remove what there is of an incomplete generation; no error if there is nothing.

        One that was committed stays, also if that was just now: who looks for rubbish may have slept since it looked.
        """

    def delete(self, generation: str) -> None:
        """Remove a generation, its manifest first, or what there is of an incomplete one; no error if there is none."""


class Commit(msgspec.Struct, frozen=True):
    """One entry of a commit log; numbers begin at 1 and have no holes."""

    number: int
    payload: bytes


class CommitLog(Protocol):
    """A log of numbered files, each created only if absent: of two writers of one number, one wins.

    Any number of processes may read and append.
    """

    def read(self, after: int = 0) -> list[Commit]:
        """Return the commits with numbers above ``after``, ascending."""

    def append(self, number: int, payload: bytes) -> None:
        """Add the commit of this number, one above the last that was read; it is durable when this returns.

        Raises:
            CommitConflict: a commit of this number exists; nothing was changed. Read again, decide again, retry.
        """
