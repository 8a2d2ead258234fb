"""``oryx version``."""

import platform

import typer

from oryx_py.cli.invocation import invocation

__all__ = ["version"]

_PARTS = ("confluent-kafka", "numpy", "numba", "pyspark", "faiss-cpu", "aiohttp")


def version(context: typer.Context) -> None:
    """Show the versions of oryx-py, Python and the libraries that matter.

    Put its output into bug reports.
    """
    screen = invocation(context).screen
    screen.line(f"oryx-py {_version('oryx-py')}")
    screen.line(f"Python {platform.python_version()} on {platform.system()} {platform.machine()}")
    for name in _PARTS:
        screen.line(f"{name} {_version(name)}")


def _version(name: str) -> str:
    from importlib import metadata  # every other command does without

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
