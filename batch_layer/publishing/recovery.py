"""What a run does first: clear away what a run before it left half done, and finish what it left almost done."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from batch_layer.publishing.publisher import Publisher
from oryx_py.adapters.commit_logs.registry_log import RegistryLog
from oryx_py.errors import CorruptGeneration, UnsupportedFormat
from oryx_py.model.epochs.registry import GenerationState, Registry
from oryx_py.model.generations.generation import Generation
from oryx_py.model.generations.manifest import Manifest
from oryx_py.ports import ArtefactStore

__all__ = ["Verdict", "judge", "outdated", "recover", "sweep_halves", "unregistered"]

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
    candidates: Sequence[str], fault: Callable[[str], str | None], outdated: Callable[[str], str | None]
) -> Verdict:
    """Decide which finished candidate is promoted: the newest whole one that does not go back behind what is live.

    Args:
        candidates: their names, ascending.
        fault: what is wrong with a candidate's files, None for nothing.
        outdated: why it may not follow the generation that is live, None where it may; asked of whole ones alone.
    """
    promoted = None
    rejected: dict[str, str] = {}
    for name in reversed(candidates):
        if promoted:
            rejected[name] = f"{promoted} is newer"
        elif reason := fault(name) or outdated(name):
            rejected[name] = reason
        else:
            promoted = name
    return Verdict(promoted, rejected)


def outdated(candidate: Manifest, live: Manifest | None) -> str | None:
    """Return why a candidate may not follow the generation that is live, None where it may.

    It may cover the same input and be the older all the same: its process was taken for dead while it copied the files,
    and another has published since, of a history that had imported rows by then, or by other settings.
    """
    if live is None:
        return None
    if any(candidate.next_offsets.get(partition, 0) < offset for partition, offset in live.next_offsets.items()):
        return "it covers less than the generation that is live"
    if (candidate.history, candidate.generation) < (live.history, live.generation):
        return "it is older than the generation that is live"
    return None


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
    """Remove the generations that were never finished, and none that was while this process slept since it looked."""
    for name in store.incomplete():
        store.discard(name)
        log.info("half_generation_swept", generation=name)


def _decide(
    registry_log: RegistryLog, store: ArtefactStore, publisher: Publisher, registry: Registry, candidates: list[str]
) -> Registry:
    def fault(name: str) -> str | None:
        try:
            Generation.open(store.local(name))
        except (CorruptGeneration, UnsupportedFormat) as error:
            return str(error)
        return None

    current = registry.newest_epoch
    live: Manifest | None = None
    if current is not None and current.generation in store.generations():
        try:
            live = store.manifest(current.generation)
        except (CorruptGeneration, UnsupportedFormat) as trouble:
            log.warning("generation_unreadable", generation=current.generation, reason=str(trouble))
    verdict = judge(candidates, fault, lambda name: outdated(store.manifest(name), live))
    rejections = [GenerationState(name, "rejected", reason) for name, reason in verdict.rejected.items()]
    for rejection in rejections:
        log.warning("generation_rejected", generation=rejection.generation, reason=rejection.reason)
    if verdict.promoted is None:
        return registry_log.append(registry, rejections)
    return publisher.start_epoch(registry, verdict.promoted, also=rejections)
