"""A model as requests see it."""

from dataclasses import dataclass

from oryx_py.messages import ItemGone, ItemVector, Update
from oryx_py.model.generations.generation import Generation
from oryx_py.model.state.model_state import ModelState
from oryx_py.model.state.pair_delta import compile_steps
from oryx_py.numerics.fold_in.dense import Prior
from oryx_py.numerics.ranking.shortlist import compile_shortlists
from oryx_py.oryx2.live_prior import LivePrior
from serving_layer.index import ExactIndex, ItemIndex
from serving_layer.model.freeing import free_in_pieces
from serving_layer.model.popularity import LargestCounts
from serving_layer.model.representatives import Representatives

__all__ = ["ServedModel", "served_model", "served_state"]


@dataclass(frozen=True, slots=True, eq=False)
class ServedModel:
    """One epoch: its state, which the loop alone reads and changes, and what never changes beside it.

    A request takes one at its beginning and never looks again, so that vectors of two generations never meet.
    """

    state: ModelState
    index: ItemIndex
    of_items: Prior | LivePrior
    """For folding in: of the generation's vectors, or, in a model of Oryx 2, of those in memory."""
    popular: LargestCounts
    """Items, by how many users know them."""
    active: LargestCounts
    """Users, by how many items they know."""
    representatives: Representatives

    @property
    def prior(self) -> Prior:
        """Of the items, for folding in."""
        return self.of_items.now() if isinstance(self.of_items, LivePrior) else self.of_items

    def apply(self, update: Update, update_partition: int) -> bool:
        """Apply one message to the state, and say whether it counted; see `ModelState.apply`.

        Raises:
            BadMessage: the vector's length is not the generation's; the state is as before.
        """
        state, of_items = self.state, self.of_items
        if not isinstance(of_items, LivePrior) or not isinstance(update, ItemVector | ItemGone):
            return state.apply(update, update_partition)
        vector = state.item_vector(state.items.find(update.item))
        before = None if vector is None else vector.copy()
        applied = state.apply(update, update_partition)
        of_items.replace(before, state.item_vector(state.items.find(update.item)))
        return applied

    @property
    def compared(self) -> int:
        """Of how many columns of a vector cosines are, the first ones: biases say nothing of what an item is like."""
        return self.state.generation.latent_features

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
    return served_state(state, Prior(generation.item_gram, len(generation.items), of="items"))


def served_state(state: ModelState, of_items: Prior | LivePrior) -> ServedModel:
    """Make a model of the state that an epoch begins with; reads all item factors once.

    Afterwards nothing has to be compiled, or loaded, when the first update comes.

    Raises:
        CorruptGeneration: an item's vector is not finite.
    """
    compile_steps()
    compile_shortlists()
    # The last to have it may be the loop, for which a step is too long.
    free_in_pieces(state.collections())
    return ServedModel(
        state=state,
        index=ExactIndex(state.generation.item_factors, state.generation.latent_features),
        of_items=of_items,
        popular=LargestCounts(state.histories, state.items, state.histories.popularity),
        active=LargestCounts(state.histories, state.users, state.histories.activity),
        representatives=Representatives(state.item_vectors, state.items, state.generation.latent_features),
    )
