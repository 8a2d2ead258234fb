"""What requests need of the models."""

from typing import Protocol

from serving_layer.model.readiness import Readiness
from serving_layer.model.served_model import ServedModel

__all__ = ["ModelProvider"]


class ModelProvider(Protocol):
    """The model that is served (`serving_layer.following.model_manager.ModelManager`); for its loop."""

    @property
    def tracks_input(self) -> bool:
        """Whether what is served knows how much of the input is in it, so that ``after`` can be waited for."""
        ...

    def served(self) -> ServedModel | None:
        """Return the model served now, None where there is none."""
        ...

    def readiness(self) -> Readiness:
        """Say whether a model is served and kept up to date, and what is waited for."""
        ...

    async def changed(self) -> None:
        """Wait until more of the input is in what is served, or something else is served."""
        ...
