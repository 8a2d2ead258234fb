"""What went wrong in Spark, as one of this project's errors."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

from oryx_py import errors

__all__ = ["translated"]

# The last line of a task's traceback, which Spark passes on as text alone.
_OURS = re.compile(r"^oryx_py\.errors\.(\w+): (.*)$", re.MULTILINE)
_SINGULAR = "SingularMatrixException"


@contextmanager
def translated() -> Iterator[None]:
    """Turn what Spark raises within into an error of this project, with Spark's own chained.

    Raises:
        OryxError: as a task raised it, with its message.
        UserError: the systems are singular.
        JobFailed: anything else.
    """
    try:
        yield
    except (PySparkException, Py4JError, ConnectionError) as failure:
        raise _meaning(_text(failure)) from failure


def _text(failure: Exception) -> str:
    """What Spark says; the JVM has to be asked for its errors' text, and may be gone."""
    try:
        return str(failure)
    except (Py4JError, OSError):
        return "its JVM has died"


def _meaning(text: str) -> errors.OryxError:
    if found := _OURS.search(text):
        kind = getattr(errors, found[1], None)
        if isinstance(kind, type) and issubclass(kind, errors.OryxError):
            return kind(found[2])
    if _SINGULAR in text:
        return errors.UserError("training failed, its systems have no single solution: raise model.lambda above 0")
    return errors.JobFailed(f"Spark did not finish: {' '.join(text.split())[:300]}")
