"""What is set for the whole process: how many files it may open, and on how many cores a thread's products run."""

import resource
from typing import Final

import faiss
import structlog
from threadpoolctl import threadpool_limits

__all__ = ["allow_files", "one_core", "products_on_one_core"]

log = structlog.get_logger("serving")

_OTHER_FILES: Final = 512
"""Open files beside the clients' connections: generations, Kafka, spools."""


def products_on_one_core() -> None:
    """Let each matrix product be the work of the thread that asks for it, for the same reason as `one_core`.

    The libraries keep this number for the whole process; their own threads would take turns with the loop's.
    """
    threadpool_limits(1, user_api="blas")


def one_core() -> None:
    """Let a query of the calling thread be one core's work: requests run side by side, not each on all cores.

    OpenMP keeps this number thread by thread.
    """
    faiss.omp_set_num_threads(1)


def allow_files(connections: int) -> None:
    """Let the process have as many open files as this many connections need, as far as the system allows it."""
    needed = 2 * connections + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        allowed = needed if hard == resource.RLIM_INFINITY else min(hard, needed)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        if allowed < needed:
            log.warning("few_open_files", allowed=allowed, needed=needed, remedy="raise the limit (ulimit -Hn)")
