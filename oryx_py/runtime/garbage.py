"""How Python looks for garbage in a process that is to answer within milliseconds."""

import gc

__all__ = ["settle"]

_NEW_OBJECTS = 100_000


def settle() -> None:
    """Keep what is there for good, and look through new objects seldom.

    The libraries' objects stay; to look through them again and again takes tens of milliseconds a time. A micro-batch
    is tens of thousands of small objects that go by themselves when it is sent: Python would look through them each
    time there are 700 more. Only what refers to itself needs that, and there is little of it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 10, 10)
