"""What one client wrote, for reads that have to include it."""

from collections import OrderedDict
from collections.abc import Sequence

from oryx_py.client.values import Written

__all__ = ["OwnWrites"]


class OwnWrites:
    """Where each user's newest write is, for a bounded number of users; for one thread.

    A write that concerns nobody in particular (a bulk, a forgotten item) counts for every user; so does that of a user
    who was not heard of for so long that there is no room any more. Reads may then wait for more than they need to, and
    never for less.

    Args:
        users: of whom it remembers the places singly.
    """

    def __init__(self, users: int = 100_000) -> None:
        self._room = users
        self._by_user: OrderedDict[str, Written] = OrderedDict()
        self._everybodys = Written()
        self._all = Written()

    def add(self, written: Written, user: str | None) -> None:
        """Remember a write, of no user in particular with None."""
        if not written:
            return
        self._all |= written
        if user is None:
            self._everybodys |= written
            return
        self._by_user[user] = self._by_user.pop(user, Written()) | written
        if len(self._by_user) > self._room:
            _, oldest = self._by_user.popitem(last=False)
            self._everybodys |= oldest

    def before(self, users: Sequence[str] | None) -> Written:
        """Return what a read for these users has to include; None: a read that is nobody's includes all."""
        if users is None:
            return self._all
        return Written.together([self._everybodys, *(self._by_user.get(user, Written()) for user in users)])
