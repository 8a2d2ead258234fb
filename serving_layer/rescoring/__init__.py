"""Business rules for answers, written by whoever runs the service; `docs/rescorer.md` has the whole story."""

from serving_layer.rescoring.aligned import Aligned
from serving_layer.rescoring.candidates import Candidates
from serving_layer.rescoring.plugin import AnyRescorer, Rescorer, RescorerProvider, VectorRescorer

__all__ = ["Aligned", "AnyRescorer", "Candidates", "Rescorer", "RescorerProvider", "VectorRescorer"]
