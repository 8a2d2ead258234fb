"""Where tasks leave files to each other: in a folder that all of them see."""

import os
import shutil
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from batch_layer.task_files.local_bytes import blocks_of, write_arrays
from oryx_py.errors import StoreUnavailable
from oryx_py.model.files import storage

__all__ = ["FolderExchange"]


@dataclass(frozen=True, slots=True)
class FolderExchange:
    """In a folder that is mounted wherever tasks run."""

    root: Path

    @property
    def gap_bytes(self) -> int:
        """See `Exchange`: a seek costs as much as a few pages."""
        return 1 << 14

    def below(self, name: str) -> "FolderExchange":
        """See `Exchange`."""
        return FolderExchange(self.root / name)

    def write(self, name: str, parts: Iterable[NDArray[np.generic]]) -> int:
        """See `Exchange`; nothing of it need outlive this machine's power."""
        path = self.root / name
        aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        with storage(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                written = write_arrays(aside, parts)
                os.replace(aside, path)  # noqa: PTH105 - Path.replace says the same by another name
            finally:
                aside.unlink(missing_ok=True)
        return written

    def read(self, name: str, start: int, into: NDArray[np.generic]) -> None:
        """See `Exchange`."""
        path, left = self.root / name, into.reshape(-1).view(np.uint8).data
        with storage(path), path.open("rb", buffering=0) as file:
            file.seek(start)
            while left:
                got = file.readinto(left)
                if not got:
                    raise StoreUnavailable(f"{path} ends {len(left)} bytes too soon")
                left = left[got:]

    def size(self, name: str) -> int:
        """See `Exchange`."""
        with storage(self.root / name):
            return (self.root / name).stat().st_size

    def upload(self, source: Path, name: str) -> None:
        """See `Exchange`."""
        self.write(name, blocks_of(source))

    def download(self, name: str, into: Path) -> None:
        """See `Exchange`."""
        with storage(into):
            shutil.copyfile(self.root / name, into)

    def names(self) -> Sequence[str]:
        """See `Exchange`."""
        with storage(self.root):
            return [path.name for path in self.root.iterdir()] if self.root.is_dir() else []

    def delete(self, name: str = "") -> None:
        """See `Exchange`."""
        path = self.root / name if name else self.root
        with storage(path):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
