"""The pure mathematics: objectives, fold-in, Gram matrices, top-n, metrics.

Import from the modules: ``cg`` (and its ``kernel``) alone needs numba, which the extras ``speed`` and ``batch`` bring.
"""
