"""The exact fold of an epoch: a micro-batch goes in, the state changes, messages come out.

`fold` is what an epoch's run needs of any fold, `exact_fold` the one by levels. May import micro-batches, solving and
sharing; it knows no broker and no clock.
"""
