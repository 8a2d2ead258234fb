"""What a run does first: clear away what a run before it left half done, and finish what it left almost done."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from batch_layer.publish import Publisher
from oryx_py.adapters.registry_log import RegistryLog
from oryx_py.errors import CorruptGeneration, UnsupportedFormat
from oryx_py.model.generation import Generation
from oryx_py.model.registry import GenerationState, Registry
from oryx_py.ports import ArtefactStore

__all__ = ["Verdict", "judge", "recover", "sweep_halves", "unregistered"]

log = structlog.get_logger("batch")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of finished generations that the registry does not know: one may be promoted, others are not."""

    promoted: str | None
    rejected: Mapping[str, str]
    """By name, the reason."""


def unregistered(registry: Registry, stored: Sequence[str]) -> list[str]:
    """Return the finished generations of which nothing was decided, ascending."""
    return [name for name in stored if registry.state(name) in {None, "candidate"}]


def judge(
    candidates: Sequence[str],
    covered: Callable[[str], Mapping[int, int]],
    live: Mapping[int, int],
    fault: Callable[[str], str | None],
) -> Verdict:
    """Decide which finished candidate is promoted: the newest whole one that covers all that the live one does.

    Args:
        candidates: their names, ascending.
        covered: the first offset that a generation does not cover, by input partition.
        live: the same of the generation that is live; empty if there is none.
        fault: what is wrong with a candidate's files, None for nothing.
    """
    promoted = None
    rejected: dict[str, str] = {}
    for name in reversed(candidates):
        if promoted:
            rejected[name] = f"{promoted} is newer"
        elif reason := fault(name):
            rejected[name] = reason
        elif any(covered(name).get(partition, 0) < offset for partition, offset in live.items()):
            rejected[name] = "it covers less than the generation that is live"
        else:
            promoted = name
    return Verdict(promoted, rejected)


def recover(registry_log: RegistryLog, store: ArtefactStore, publisher: Publisher) -> Registry:
    """Sweep half generations, promote or reject finished ones, send a missing ``MODEL-REF``; returns the registry.

    Raises:
        CommitConflict: another process did so at the same time.
        BrokerUnavailable, StoreUnavailable: try again.
    """
    registry = registry_log.read()
    sweep_halves(store)
    candidates = unregistered(registry, store.generations())
    if candidates:
        registry = _decide(registry_log, store, publisher, registry, candidates)
    if registry.newest_epoch is not None:
        sent = publisher.announce(registry.newest_epoch)
        if sent:
            log.info("epoch_announced", epoch=registry.newest_epoch.epoch, partitions=sent)
    return registry


def sweep_halves(store: ArtefactStore) -> None:
    """Remove the generations that were never finished."""
    for name in store.incomplete():
        store.delete(name)
        log.info("half_generation_swept", generation=name)


def _decide(
    registry_log: RegistryLog, store: ArtefactStore, publisher: Publisher, registry: Registry, candidates: list[str]
) -> Registry:
    def covered(name: str) -> Mapping[int, int]:
        return store.manifest(name).next_offsets

    def fault(name: str) -> str | None:
        try:
            Generation.open(store.local(name))
        except (CorruptGeneration, UnsupportedFormat) as error:
            return str(error)
        return None

    current = registry.newest_epoch
    live: Mapping[int, int] = {}
    if current is not None and current.generation in store.generations():
        try:
            live = covered(current.generation)
        except (CorruptGeneration, UnsupportedFormat) as trouble:
            log.warning("generation_unreadable", generation=current.generation, reason=str(trouble))
    verdict = judge(candidates, covered, live, fault)
    rejections = [GenerationState(name, "rejected", reason) for name, reason in verdict.rejected.items()]
    for rejection in rejections:
        log.warning("generation_rejected", generation=rejection.generation, reason=rejection.reason)
    if verdict.promoted is None:
        return registry_log.append(registry, rejections)
    return publisher.start_epoch(registry, verdict.promoted, also=rejections)
