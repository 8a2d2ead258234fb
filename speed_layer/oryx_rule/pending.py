"""What a micro-batch touches: its interactions folded into pairs, before anything is solved."""

from collections.abc import Iterable

from oryx_py.events import Action, FoldSettings, Interaction, fold_pair, time_of, weigh
from oryx_py.messages import partition_of
from oryx_py.model.state.model_state import ModelState

__all__ = ["Pending"]


class Pending:
    """The pairs, users and items that interactions have touched since the last flush.

    Reads the state, never changes it.

    Args:
        state: the epoch's state as of the last flush.
        partitions: partitions of the input topic.
    """

    def __init__(self, state: ModelState, partitions: int) -> None:
        self._state = state
        manifest = state.generation.manifest
        self._settings: FoldSettings = manifest.fold
        self._as_of_ms = manifest.as_of_ms
        self._weighs = not self._settings.is_plain
        self._partitions = partitions
        self.pairs: dict[int, dict[int, float | None]] = {}
        """By user handle, by item handle: the folded strength now, None for nothing."""
        self.inputs: dict[int, int] = {}
        """By user handle: the offset of the newest interaction folded."""
        self.forgotten_users: set[int] = set()
        self.forgotten_items: set[int] = set()

    def __len__(self) -> int:
        return len(self.pairs)

    def __bool__(self) -> bool:
        return bool(self.pairs or self.forgotten_items)

    def add(self, interaction: Interaction, partition: int, offset: int, kafka_ms: int) -> float | None:
        """Fold one interaction; those of a partition come in the order of its offsets.

        Args:
            interaction: what to fold.
            partition: that its record is in.
            offset: of its record.
            kafka_ms: the record's time, -1 where it has none.

        Returns:
            The strength that counts; None for a delete or forget, and for what is too old or too little to count.
        """
        match interaction.action:
            case Action.FORGET_USER:
                self._forget_user(interaction.user, offset)
            case Action.FORGET_ITEM:
                self._forget_item(interaction.item, partition, offset)
            case Action.DELETE:
                self._fold(interaction, None, offset)
            case Action.ADD:
                strength = self._weighed(interaction, kafka_ms)
                if strength is not None:
                    self._fold(interaction, strength, offset)
                return strength
        return None

    def take(self, users: int) -> "Pending":
        """Cut off what concerns the first so many users, and the forgotten items with the first slice."""
        part = Pending(self._state, self._partitions)
        for user in list(self.pairs)[:users]:
            part.pairs[user] = self.pairs.pop(user)
            part.inputs[user] = self.inputs.pop(user)
            if user in self.forgotten_users:
                self.forgotten_users.remove(user)
                part.forgotten_users.add(user)
        part.forgotten_items, self.forgotten_items = self.forgotten_items, set()
        return part

    def _weighed(self, interaction: Interaction, kafka_ms: int) -> float | None:
        assert interaction.strength is not None
        if not self._weighs:
            return interaction.strength
        time_ms = time_of(interaction.timestamp_ms, kafka_ms)
        return weigh(interaction.strength, interaction.kind, time_ms, self._settings, self._as_of_ms)

    def _fold(self, interaction: Interaction, strength: float | None, offset: int) -> None:
        user = self._state.users.intern(interaction.user)
        item = self._state.items.intern(interaction.item)
        self._touch(user, item, fold_pair(self._strength(user, item), strength, self._settings), offset)

    def _touch(self, user: int, item: int, strength: float | None, offset: int) -> None:
        self.pairs.setdefault(user, {})[item] = strength
        self.inputs[user] = offset

    def _strength(self, user: int, item: int) -> float | None:
        pairs = self.pairs.get(user)
        if pairs is not None and item in pairs:
            return pairs[item]
        return self._state.histories.strength(user, item)

    def _forget_user(self, name: str, offset: int) -> None:
        user = self._state.users.intern(name)
        known = [*self._state.history(user)[0].tolist(), *self.pairs.get(user, {})]
        self.pairs[user] = dict.fromkeys(known)
        self.inputs[user] = offset
        self.forgotten_users.add(user)

    def _forget_item(self, name: str, partition: int, offset: int) -> None:
        item = self._state.items.intern(name)
        for user in set(self._holders(item)):
            if partition_of(self._state.users.id(user), self._partitions) == partition:
                self._touch(user, item, None, offset)
        self.forgotten_items.add(item)

    def _holders(self, item: int) -> Iterable[int]:
        yield from self._state.histories.users_of(item).tolist()
        yield from [user for user, pairs in self.pairs.items() if pairs.get(item) is not None]
