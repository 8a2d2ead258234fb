"""Business rules for answers, written by whoever runs the service; `docs/rescorer.md` has the whole story.

What is named here is for plug-ins to import. May import `model` and `index`.
"""

from serving_layer.rescoring.aligned import Aligned
from serving_layer.rescoring.candidates import Candidates
from serving_layer.rescoring.plugin_interface import AnyRescorer, Rescorer, RescorerProvider, VectorRescorer

__all__ = ["Aligned", "AnyRescorer", "Candidates", "Rescorer", "RescorerProvider", "VectorRescorer"]
