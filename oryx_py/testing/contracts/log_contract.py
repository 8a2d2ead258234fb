"""What every log must do; inherit, provide the fixture, and pytest runs it."""

from oryx_py.testing.contracts.reading_contract import ReadingContract
from oryx_py.testing.contracts.sending_contract import SendingContract
from oryx_py.testing.contracts.topics_contract import TopicsContract

__all__ = ["LogContract"]


class LogContract(SendingContract, ReadingContract, TopicsContract):
    """Provide the fixture ``log``; tests make topics of their own, so it may be shared."""
