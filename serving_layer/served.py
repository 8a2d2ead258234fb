"""A model as requests see it."""

from dataclasses import dataclass

from oryx_py.model.generation import Generation
from oryx_py.model.state import ModelState
from oryx_py.numerics.fold_in import Prior
from serving_layer.index import ExactIndex, ItemIndex
from serving_layer.popular import PopularItems

__all__ = ["ServedModel", "served_model"]


@dataclass(frozen=True, slots=True, eq=False)
class ServedModel:
    """One epoch: its state, which the loop alone reads and changes, and what never changes beside it.

    A request takes one at its beginning and never looks again, so that vectors of two generations never meet.
    """

    state: ModelState
    index: ItemIndex
    prior: Prior
    """Of the items, for folding in."""
    popular: PopularItems

    @property
    def epoch(self) -> int:
        """The epoch's number."""
        return self.state.epoch

    @property
    def generation(self) -> str:
        """The generation's name."""
        return self.state.generation.name


def served_model(generation: Generation, epoch: int, update_partitions: int) -> ServedModel:
    """Make an epoch's model before any update; reads all item factors once.

    Raises:
        CorruptGeneration: an item's vector is not finite.
    """
    state = ModelState(generation, epoch, update_partitions)
    return ServedModel(
        state=state,
        index=ExactIndex(generation.item_factors),
        prior=Prior(generation.item_gram, len(generation.items)),
        popular=PopularItems(state),
    )
