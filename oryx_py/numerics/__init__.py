"""The pure mathematics: the objective, training, fold-in, Gram matrices, top-n, metrics.

`objective` is what everything minimises; `als` trains, `fold_in` and `recursive` solve rows by fixed vectors of the
other side, `pairs` keeps histories, `ranking` picks and judges. `compiled` needs numba, and so does what is made of it:
the extras ``speed`` and ``batch`` bring it.
"""
