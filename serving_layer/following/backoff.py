"""How long to wait before what failed is tried again. Pure."""

__all__ = ["retry_delay"]

_DOUBLINGS = 5


def retry_delay(first_s: float, failures: int) -> float:
    """Return seconds: ``first_s`` after the first failure in a row, doubled at each further one, up to 32 times it.

    ``failures``: in a row, 1 or more.
    """
    return first_s * 2.0 ** min(failures - 1, _DOUBLINGS)
