"""The optional parts of the installation."""

from importlib.util import find_spec

from oryx_py.errors import MissingDependency

__all__ = ["need"]


def need(extra: str, *modules: str) -> None:
    """Make sure that modules of one of the extras in ``setup.cfg`` can be imported, without importing them.

    Raises:
        MissingDependency: one cannot; the message has the command that installs it.
    """
    for module in modules:
        if find_spec(module) is None:
            raise MissingDependency(f"{module} is not installed: run `pip install 'oryx-py[{extra}]'`")
