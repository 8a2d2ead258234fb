"""A lock in a place that many machines reach, such as HDFS: numbered files, each created only if absent.

1. ``<n>.lock`` says who holds it; the highest number counts;
2. ``<n>.<m>.beat`` follows every few seconds, and the one before is deleted;
3. ``<n>.free`` says that it was given back.

Whoever finds it free, or sees no new beat for a minute by its own clock, creates the next number, and deletes what is
below. Clocks of different machines are never compared. A holder that was asleep so long finds the higher number.

Only time in which the place answered counts towards the minute: from look to look, at most so long as from beat to
beat, and nothing across a look that failed. After half of it who waits writes a file of its own: a place may answer and
take nothing, as HDFS does while it starts, and nobody can renew anything there. Where it takes nothing, the minute
begins anew.
"""

import secrets
import threading
from contextlib import suppress

import msgspec
import structlog

from batch_layer.locking.lease_expiry import Silence
from batch_layer.locking.lease_files import NAME, lease_state, lock_name
from batch_layer.locking.run_lock import Holder
from oryx_py.errors import OryxError, StoreUnavailable
from oryx_py.ports import Clock
from oryx_py.ports.files import Files

__all__ = ["FileLease"]

log = structlog.get_logger("batch")


class _Claim(msgspec.Struct, frozen=True):
    """What a lock says; the token tells one claim from another of the same process."""

    holder: Holder
    token: str


class FileLease:
    """A `RunLock` of files; while it is held a thread renews it.

    Args:
        files: where; nothing else is kept there. `exclusive`.
        clock: measures how long nothing was renewed.
        lease_s: so long without a beat, in a place that answers, makes a holder a dead one.
        beat_s: from beat to beat; several must fit into the lease.
    """

    def __init__(self, files: Files, clock: Clock, *, lease_s: float = 60.0, beat_s: float = 10.0) -> None:
        self._files, self._clock = files, clock
        self._lease_s, self._beat_s = lease_s, beat_s
        self._silence = Silence(beat_s)
        self._held: int | None = None
        self._claimed = 0
        """The last number that this process has created, also where it could not go on from there."""
        self._lost = threading.Event()
        self._over = threading.Event()
        self._beats: threading.Thread | None = None

    def attempt(self, holder: Holder) -> Holder | None:
        """Take it; see the port."""
        with self._silence.broken_off():
            seen = lease_state(self._files.names())
        silent_s = self._silence.after(seen, self._clock.monotonic())
        mine = not seen.free and seen.number == self._claimed
        if not seen.free and not mine and (silent_s < self._lease_s or not self._silence.takes):
            if silent_s >= self._lease_s / 2 and not self._silence.takes:
                self._try(seen.number)
            return self._told(seen.number)
        number = seen.number if mine else seen.number + 1
        if not mine:
            # A number that was used up is created once more if we slept since we looked: there is a higher one then.
            claim = _Claim(holder, secrets.token_hex(8))
            with self._silence.begun_anew():
                taken = self._files.create(lock_name(number), msgspec.json.encode(claim))
            if not taken:
                return self._told(number)
            self._claimed = number
        newest = lease_state(self._files.names()).number
        if newest > number:
            self._files.delete(lock_name(number))
            return self._told(newest)
        self._sweep(number)
        self._held = number
        self._lost.clear()
        self._over.clear()
        self._beats = threading.Thread(target=self._renew, args=(number,), name="lease", daemon=True)
        self._beats.start()
        return None

    def lost(self) -> bool:
        """Whether somebody took this holder for dead: as of now, where the place answers."""
        if self._held is not None and not self._lost.is_set():
            with suppress(StoreUnavailable):
                self._look(self._held)
        return self._lost.is_set()

    def release(self) -> None:
        """Give it back."""
        if self._held is None or self._beats is None:
            return
        number, self._held = self._held, None
        self._over.set()
        self._beats.join()
        self._files.create(f"{number:012}.free", b"")

    def _renew(self, number: int) -> None:
        beat = 0
        while not self._over.wait(self._beat_s):
            try:
                if self._look(number):
                    return
                beat += 1  # also where the one before cannot be removed: it would be the same one again
                self._files.create(f"{number:012}.{beat:012}.beat", b"")
                self._files.delete(f"{number:012}.{beat - 1:012}.beat")
            except OryxError as trouble:  # there is time for some more
                log.warning("lease_not_renewed", reason=str(trouble))

    def _look(self, number: int) -> bool:
        """See whether it is lost."""
        if lease_state(self._files.names()).number > number:
            self._lost.set()
        return self._lost.is_set()

    def _try(self, number: int) -> None:
        """See whether the place takes anything."""
        name = f"{number:012}.{secrets.token_hex(8)}.try"
        with self._silence.begun_anew():
            self._files.create(name, b"")
            self._files.delete(name)
        self._silence.takes = True

    def _sweep(self, number: int) -> None:
        for name in self._files.names():
            match = NAME.fullmatch(name)
            if match and int(match[1]) < number:
                self._files.delete(name)

    def _told(self, number: int) -> Holder:
        try:
            return msgspec.json.decode(self._files.read(lock_name(number)) or b"", type=_Claim).holder
        except msgspec.MsgspecError:  # it has gone on since
            return Holder("another machine", 0, 0)
