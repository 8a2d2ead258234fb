"""The small file by which other processes on this machine find the embedded broker."""

from pathlib import Path

import msgspec

__all__ = ["RunFile", "read_runfile", "runfile_path", "write_runfile"]

_NAME = "broker.json"


class RunFile(msgspec.Struct, frozen=True):
    """Where a broker listens, its process, and when it was ready (milliseconds since 1970)."""

    bootstrap_servers: str
    pid: int
    started_ms: int


def runfile_path(local_dir: Path) -> Path:
    """Return where the run file of ``local.dir`` stands."""
    return local_dir / _NAME


def write_runfile(path: Path, content: RunFile) -> None:
    """Write the file so that readers see all of it or none."""
    partial = path.with_suffix(".partial")
    partial.write_bytes(msgspec.json.encode(content) + b"\n")
    partial.replace(path)


def read_runfile(path: Path) -> RunFile | None:
    """Return what the file says; None if there is none, or it is not one."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=RunFile)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
