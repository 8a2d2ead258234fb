"""A disk whose power fails: what is left of a directory after each effect of a piece of code.

A file's bytes are sure to be there after its fsync, a name after the fsync of its directory. What was not synced may be
lost, kept, or kept in part, in any combination; `cuts` plays several of these for every effect, the adversarial ones
among them: all names kept but bytes lost, and only the names kept that make other files visible.
"""

import os
import random
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

Keep = Callable[[str], bool]
"""Whether a change of this name reached the disk without an fsync."""


class PowerCut(BaseException):
    """Not an Exception: no code may recover from it."""


@dataclass(frozen=True)
class Left:
    """What a power failure leaves: the directory as it is then, and whether the code had returned before."""

    root: Path
    returned: bool
    story: str


def cuts(work: Path, prepare: Callable[[Path], object], act: Callable[[Path], object]) -> Iterator[Left]:
    """Run ``act`` on a directory that ``prepare`` filled, cutting the power before its first, second, … effect."""
    for effects in range(10_000):
        place = work / f"run{effects}"
        place.mkdir(parents=True)
        root = place / "disk"
        root.mkdir()
        prepare(root)
        disk = Disk(root, place / "unlinked", effects)
        try:
            with disk.mounted():
                act(root)
            returned = True
        except PowerCut:
            returned = False
        for number, (keep_name, keep_bytes) in enumerate(fates(effects)):
            after = place / f"after{number}"
            disk.rebuild(after, keep_name, keep_bytes)
            yield Left(after, returned, f"power cut before effect {effects} ({disk.last}), fate {number}")
        shutil.rmtree(place)
        if returned:
            return
    raise AssertionError("the code never ends")


def fates(seed: int) -> list[tuple[Keep, Keep]]:
    """What may happen to unsynced names and bytes."""
    rng = random.Random(seed)

    def commits(name: str) -> bool:
        return name == "manifest.json" or name[0].isdigit()

    def never(name: str) -> bool:
        return False

    def always(name: str) -> bool:
        return True

    def sometimes(name: str) -> bool:
        return rng.random() < 0.5

    return [(never, never), (always, never), (always, always), (commits, never), *[(sometimes, sometimes)] * 3]


class Disk:
    """A directory under observation: knows which bytes and which names are safe."""

    def __init__(self, root: Path, unlinked: Path, effects: int) -> None:
        self._root, self._unlinked = root, unlinked
        self._left = effects
        self._dead = False
        self._safe_bytes: set[int] = set()
        self._safe_names: dict[int, dict[str, int]] = {}
        self.last = "the end"
        unlinked.mkdir()
        for directory, _, files in os.walk(root):
            self._safe_names[Path(directory).stat().st_ino] = entries(directory)
            self._safe_bytes |= {os.lstat(Path(directory) / name).st_ino for name in files}

    @contextmanager
    def mounted(self) -> Iterator[None]:
        """Count and intercept the effects of the block."""
        real = {name: getattr(os, name) for name in ("fsync", "link", "rename", "replace", "unlink", "rmdir", "mkdir")}

        def intercept(name: str) -> Callable[..., Any]:
            def effect(*arguments: Any, **named: Any) -> Any:
                self._count(f"{name}{arguments}")
                # What loses its last name is kept aside: its inode must not be used again, and the loss may be undone.
                if name in {"unlink", "replace"}:
                    self._keep(arguments[-1], named.get("dir_fd"))
                if name == "rmdir":
                    return real["rename"](*arguments, self._aside(), **self._source(named))
                result = real[name](*arguments, **named)
                if name == "fsync":
                    self._synced(arguments[0])
                return result

            return effect

        self._real = real
        with mock.patch.multiple(os, **{name: intercept(name) for name in real}):
            yield

    def _source(self, named: dict[str, Any]) -> dict[str, Any]:
        return {"src_dir_fd": named["dir_fd"]} if named.get("dir_fd") is not None else {}

    def _aside(self) -> Path:
        return self._unlinked / str(len(list(self._unlinked.iterdir())))

    def _keep(self, path: Any, dir_fd: int | None) -> None:
        source = {} if dir_fd is None else {"src_dir_fd": dir_fd}
        try:
            self._real["link"](path, self._aside(), **source)
        except FileNotFoundError:
            return

    def _count(self, what: str) -> None:
        if self._dead or not self._left:
            self.last = self.last if self._dead else what
            self._dead = True
            raise PowerCut
        self._left -= 1

    def _synced(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            self._safe_names[status.st_ino] = entries(descriptor)
        else:
            self._safe_bytes.add(status.st_ino)

    def rebuild(self, into: Path, keep_name: Keep, keep_bytes: Keep) -> None:
        """Write what is there when the power is back."""
        places: dict[int, Path] = {self._root.stat().st_ino: self._root}
        for top in (self._root, self._unlinked):
            for directory, names, files in os.walk(top):
                for name in (*names, *files):
                    places[os.lstat(Path(directory) / name).st_ino] = Path(directory) / name
        self._restore(self._root, into, places, keep_name, keep_bytes)

    def _restore(self, directory: Path, into: Path, places: dict[int, Path], name_kept: Keep, bytes_kept: Keep) -> None:
        into.mkdir()
        safe, now = self._safe_names.get(directory.stat().st_ino, {}), entries(directory)
        for name in {*safe, *now}:
            inode = now.get(name) if safe.get(name) == now.get(name) or name_kept(name) else safe.get(name)
            if inode is None:
                continue
            source = places[inode]
            if source.is_dir():
                self._restore(source, into / name, places, name_kept, bytes_kept)
            else:
                content = source.read_bytes()
                whole = inode in self._safe_bytes or bytes_kept(name)
                (into / name).write_bytes(content if whole else content[: len(content) // 2])


def entries(directory: Any) -> dict[str, int]:
    """The names in a directory, and their inodes."""
    with os.scandir(directory) as found:
        return {entry.name: entry.inode() for entry in found}
