"""Epochs that could not be loaded, and when to try them again. Pure."""

from dataclasses import dataclass

from oryx_py.model.epochs.registry import EpochStarted
from serving_layer.following.backoff import retry_delay
from serving_layer.model.readiness import refused

__all__ = ["RefusedEpochs"]


@dataclass(frozen=True, slots=True)
class _Refusal:
    entry: EpochStarted
    reason: str
    failures: int
    retry_at: float


class RefusedEpochs:
    """Remembers what was refused.

    Args:
        retry_s: after which the first failure is tried again; later after further ones (`retry_delay`).
    """

    def __init__(self, retry_s: float) -> None:
        self._retry_s = retry_s
        self._refusals: dict[int, _Refusal] = {}

    def add(self, entry: EpochStarted, reason: str, now: float) -> None:
        """Remember one more failure."""
        before = self._refusals.get(entry.epoch)
        failures = 1 if before is None else before.failures + 1
        retry_at = now + retry_delay(self._retry_s, failures)
        self._refusals[entry.epoch] = _Refusal(entry, reason, failures, retry_at)

    def drop_below(self, epoch: int) -> None:
        """Forget all up to this epoch: it is served."""
        self._refusals = {number: refusal for number, refusal in self._refusals.items() if number > epoch}

    def closed(self, now: float, *, under_way: bool) -> set[int]:
        """Return the epochs not to be tried now: not before their time, and not while another is ``under_way``.

        Else an epoch that always fails would again and again put aside the one below it, which may not.
        """
        return {number for number, refusal in self._refusals.items() if under_way or refusal.retry_at > now}

    def reasons(self) -> list[str]:
        """Say what was refused, and why."""
        return [refused(refusal.entry, refusal.reason) for refusal in self._refusals.values()]
