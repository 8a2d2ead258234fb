"""Files that count what they are asked, since each question costs a request where they are far away."""

from collections import Counter
from collections.abc import Sequence

from oryx_py.adapters.file_systems.local_files import LocalFiles

__all__ = ["CountingFiles"]


class CountingFiles(LocalFiles):
    """Local files; ``asked`` counts the questions by the method's name."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.asked: Counter[str] = Counter()

    def names(self, path: str = "") -> Sequence[str]:
        self.asked["names"] += 1
        return super().names(path)

    def size(self, path: str) -> int | None:
        self.asked["size"] += 1
        return super().size(path)

    def read(self, path: str, start: int = 0, length: int | None = None) -> bytes | None:
        self.asked["read"] += 1
        return super().read(path, start, length)
