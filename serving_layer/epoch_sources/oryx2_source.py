"""Epochs of an Oryx 2 batch layer: each ``MODEL`` or ``MODEL-REF`` without a number of ours begins one.

The newest is loaded and served; the one before stays until then, but gets no more updates from where the new one
begins, since these are of other vectors. One that cannot be loaded is tried again later; where nothing is served, the
newest one that can be loaded is.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

from oryx_py.messages import Progress
from oryx_py.model.epochs.registry import EpochStarted
from oryx_py.oryx2.live_prior import LivePrior
from oryx_py.oryx2.parts import ModelFiles
from oryx_py.runtime.oryx2_loading import Patience, load_model
from oryx_py.runtime.oryx2_log import ModelMessage, Oryx2Log, Oryx2Reader
from serving_layer.epoch_sources.epoch_choice import Standing
from serving_layer.epoch_sources.epoch_source import LoadedEpoch, Watch
from serving_layer.epoch_sources.recent_known_items import RecentKnownItems
from serving_layer.model.served_model import served_state

__all__ = ["Oryx2Source"]

_TRIED = 8
"""So many models back, one that can be loaded is looked for."""


class Oryx2Source:
    """Epochs by the models in the update topic; see `EpochSource` for who calls what.

    An epoch's number is its message's offset; in a topic of several partitions, offset times their number plus the
    partition's, so that no two have the same.

    Args:
        log: the update topic.
        open_model: opens what a ``MODEL-REF`` names.
        update_partitions: of the topic.
        fraction: of the users and items that a model names, how many must have a vector.
        patience_s: for so long a model waits for the updates of what only its folder has told of.
    """

    tracks_input = False

    def __init__(
        self,
        *,
        log: Oryx2Log,
        open_model: Callable[[str], ModelFiles],
        update_partitions: int,
        fraction: float,
        patience_s: float,
    ) -> None:
        self._log, self._open_model = log, open_model
        self._update_partitions = update_partitions
        self._fraction, self._patience_s = fraction, patience_s
        self._models: list[ModelMessage] = []
        """From old to new; replaced, never changed, since several threads look at it."""
        self._floor: dict[int, int] = {}
        """Below it, nothing newer than the oldest model remembered remains to be found."""

    def look(self, closed: Collection[int], *, is_quiet: bool) -> None:
        """Look for what came since the last look and, where no model known can be loaded, for older ones."""
        if is_quiet:
            return
        admin, topic = self._log.admin, self._log.topic
        end = admin.end_offsets(topic)
        if not self._models or any(self._floor.get(partition, 0) < offset for partition, offset in end.items()):
            start = {p: max(offset, self._floor.get(p, 0)) for p, offset in admin.start_offsets(topic).items()}
            newest = self._log.newest(start, end)
            if newest is not None and newest not in self._models:
                self._models = [*self._models, newest]
            self._floor = end
        while self._models and len(self._models) < _TRIED and all(self._epoch(m) in closed for m in self._models):
            older = self._log.newest(admin.start_offsets(topic), self._before(self._models[0]))
            if older is None:
                break
            self._models = [older, *self._models]

    def hear(self, progress: Progress, update_partition: int) -> None:
        """Take in nothing: nobody announces anything of a model."""

    def wanted(
        self,
        closed: Collection[int],
        served: int | None,
        under_way: Collection[int] = (),  # noqa: ARG002
    ) -> Sequence[EpochStarted]:
        """Return what is served, and the newest model that is newer."""
        epochs = [self._epoch(model) for model in self._models]
        at = epochs.index(served) if served is not None else -1
        newer = [n for n in range(at + 1, len(epochs)) if epochs[n] not in closed]
        return [self._entry(self._models[n]) for n in ([at] if at >= 0 else []) + newer[-1:]]

    def load(self, entry: EpochStarted, watch: Watch, *, recent: RecentKnownItems | None) -> LoadedEpoch | None:
        """Put the model together from its files and its updates."""
        models = self._models
        at = [self._epoch(model) for model in models].index(entry.epoch)
        message, after = models[at], models[at + 1 : at + 2]
        reader = Oryx2Reader(entry.epoch, message, after[0] if after else None)
        loaded = load_model(
            message,
            entry.generation,
            reader,
            log=self._log,
            open_model=self._open_model,
            patience=Patience(self._fraction, 0.0 if recent is None else self._patience_s),
            watch=watch,
            recent=recent or {},
        )
        if loaded is None:
            return None
        state = loaded.gathered.state(entry.epoch, self._update_partitions)
        generation = state.generation
        prior = LivePrior(generation.item_gram, len(generation.items), self._log.clock.monotonic)
        return LoadedEpoch(served_state(state, prior), loaded.positions, reader, loaded.bad)

    def may_serve(self, candidate: Standing, served: Standing | None) -> bool:
        """Say whether a model is newer and has what the topic had when it was put together."""
        if not candidate.caught_up:
            return False
        order = [self._epoch(model) for model in self._models]
        return served is None or order.index(candidate.epoch) > order.index(served.epoch)

    def missing(self, candidate: Standing, served: Standing | None) -> Sequence[int]:  # noqa: ARG002
        """Return nothing: no model knows input offsets."""
        return ()

    def covered(self, standing: Standing) -> Mapping[int, int]:  # noqa: ARG002
        """Return nothing: no model knows input offsets."""
        return {}

    def _epoch(self, model: ModelMessage) -> int:
        return model.epoch(self._update_partitions)

    def _entry(self, model: ModelMessage) -> EpochStarted:
        epoch = self._epoch(model)
        return EpochStarted(epoch, f"oryx2-{epoch}", {model.partition: model.offset + 1}, model.timestamp_ms)

    def _before(self, model: ModelMessage) -> dict[int, int]:
        return self._log.start_of(model) | {model.partition: model.offset}
