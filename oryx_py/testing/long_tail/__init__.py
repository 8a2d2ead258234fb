"""Long-tailed worlds of any size with planted tastes, drawn block by block, in memory or by tasks of a cluster.

A few items are met by very many, a few users meet very many, and who meets what follows from tastes that are known:
so a trainer can be timed on as many interactions as one likes, and its rankings be compared with the best possible.

The model: item ``i`` has a popularity ``p_i`` (Zipf–Mandelbrot) and belongs to a cluster with a vector ``z_c(i)``.
User ``u`` has a vector ``x_u``, and meets ``i`` with a probability proportional to ``p_i · exp(x_u · z_c(i))``, each
item once at most. Tastes drift: an interaction at time ``τ`` in [0, 1) follows another vector of the user's with
probability ``drift · τ``. Users come in blocks of `BLOCK`, each with a random generator of its own, so that the rows
are a function of the world's description alone, whoever draws them in whatever order.
"""

from oryx_py.testing.long_tail.drawing import Rows, draw, draw_block
from oryx_py.testing.long_tail.oracle import probabilities
from oryx_py.testing.long_tail.world import BLOCK, LongTail, starts

__all__ = ["BLOCK", "LongTail", "Rows", "draw", "draw_block", "probabilities", "starts"]
