"""The pure mathematics: objectives, fold-in, Gram matrices, top-n, metrics."""
