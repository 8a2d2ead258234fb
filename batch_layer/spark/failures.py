"""What went wrong in a task, as one of this project's errors."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

from oryx_py import errors

__all__ = ["translated"]

# The last line of a Python traceback, which Spark passes on as text alone.
_OURS = re.compile(r"^(?:oryx_py\.errors\.)(\w+): (.*)$", re.MULTILINE)


@contextmanager
def translated() -> Iterator[None]:
    """Turn an error of this project that was raised in a task into the same error here.

    Raises:
        OryxError: the task's own, with its message; Spark's is chained.
    """
    try:
        yield
    except (PySparkException, Py4JError) as failure:
        found = _OURS.search(str(failure))
        kind = getattr(errors, found[1], None) if found else None
        if found and isinstance(kind, type) and issubclass(kind, errors.OryxError):
            raise kind(found[2]) from failure
        raise
