"""Where temporary files lie: never in the system's folder, which may be memory, and which nothing sweeps."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from oryx_py.model.files import make_directories, storage

__all__ = ["scratch"]

_OF_TASKS = "SPARK_LOCAL_DIRS"
"""What Spark tells each of its Python workers: where its session writes on this host, which goes with the session. A
user's own property of that name, as this process may have it, names the folders around."""

_SPARKS = "blockmgr-"


@contextmanager
def scratch(prefix: str, here: Path | None = None) -> Iterator[Path]:
    """Lend an empty directory on a disk, and remove it afterwards.

    In a task it lies in Spark's local directory; elsewhere in ``here``, a part of the work folder, which the next run
    sweeps should this process die; where there is neither, with the system's temporary files.

    Raises:
        StoreUnavailable: the disk does not take it.
    """
    told = Path(os.environ.get(_OF_TASKS, "").split(",")[0])
    into = told if told.name.startswith(_SPARKS) and told.is_dir() else here
    if into is not None:
        with storage(into):
            make_directories(into)
    with TemporaryDirectory(prefix=f"oryx-{prefix}-", dir=into, ignore_cleanup_errors=True) as folder:
        yield Path(folder)
