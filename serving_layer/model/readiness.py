"""What ``/ready`` says. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from oryx_py.model.epochs.registry import EpochStarted

__all__ = ["NO_MODEL", "Readiness", "loading", "not_followed", "refused", "silent", "waiting_for_partitions"]

NO_MODEL = "no model has been published yet: the batch layer makes the first one"
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether requests are answered from a model that is kept up to date, and what is waited for, in words."""

    ready: bool
    waiting_for: Sequence[str] = ()
    generation: str | None = None
    epoch: int | None = None
    input: Mapping[int, int] = field(default_factory=dict)
    """By input partition: the offset below which everything is in what is served."""

    @property
    def reason(self) -> str:
        """What is waited for, in one line."""
        return "; ".join(self.waiting_for)


def loading(entry: EpochStarted, percent: int, *, following: bool) -> str:
    """Say how far an epoch is."""
    return f"{_named(entry)} is {'reading its updates' if following else 'loading'}: {percent} %"


def refused(entry: EpochStarted, reason: str) -> str:
    """Say why an epoch cannot be had."""
    return f"{_named(entry)} cannot be loaded: {reason}"


def not_followed(entry: EpochStarted, reason: str) -> str:
    """Say why an epoch gets no more updates."""
    return f"{_named(entry)} is not kept up to date: {reason}"


def silent(entry: EpochStarted, partitions: Sequence[int], of: int, seconds: float) -> str:
    """Say of which input partitions, ``of`` so many, the speed layer says nothing."""
    if len(partitions) < of:
        return (
            f"{_named(entry)} has had no PROGRESS of input partitions {_some(partitions)} for {seconds:.0f} s: "
            "see whether the speed process that has them still works"
        )
    return (
        f"{_named(entry)} has had no PROGRESS for {seconds:.0f} s: see whether the speed layer runs, "
        "or set serving.require_live = false where there is none"
    )


def waiting_for_partitions(entry: EpochStarted, missing: Sequence[int]) -> str:
    """Say which input partitions the speed layer has not brought up to date in an epoch."""
    return f"{_named(entry)} waits for the speed layer in input partitions {_some(missing)}"


def _some(partitions: Sequence[int]) -> str:
    return ", ".join(map(str, partitions[:_SHOWN])) + (", …" if len(partitions) > _SHOWN else "")


def _named(entry: EpochStarted) -> str:
    return f"epoch {entry.epoch} (generation {entry.generation})"
