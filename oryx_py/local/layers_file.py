"""The small file by which `oryx status` finds the layers that `oryx up` runs.

::

    <local.dir>/layers.json  which layers run, and where those answer that serve no HTTP of their own
    <local.dir>/up.lock      held by `oryx up` as long as it lives
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from oryx_py.errors import UserError
from oryx_py.local import locks

__all__ = ["LayersFile", "announced", "read_layers"]


class LayersFile(msgspec.Struct, frozen=True):
    """By name the layers that run, each with its ``host:port`` for ``/ready`` and ``/metrics``."""

    layers: dict[str, str]


@contextmanager
def announced(local_dir: Path, layers: Mapping[str, str]) -> Iterator[None]:
    """Say within the block that these layers run here.

    Raises:
        UserError: another process says so of this folder.
    """
    lock = locks.take(local_dir / "up.lock", 0)
    if lock is None:
        raise UserError(f"`oryx up` already runs in {local_dir}: stop it, or choose another folder with local.dir")
    path = local_dir / "layers.json"
    try:
        partial = path.with_suffix(".partial")
        partial.write_bytes(msgspec.json.encode(LayersFile(dict(layers))) + b"\n")
        partial.replace(path)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(lock)


def read_layers(local_dir: Path) -> LayersFile | None:
    """Return what `oryx up` runs in a folder now, None where it does not run.

    The file alone proves nothing, since its writer may have been killed; the lock ends with the process.
    """
    if not locks.is_held(local_dir / "up.lock"):
        return None
    try:
        return msgspec.json.decode((local_dir / "layers.json").read_bytes(), type=LayersFile)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
