"""Generations, the state that updates change, checkpoints of it, and the logs that say which of them count.

`generations` and `checkpoints` are files; `state` is an epoch in memory; `epochs` and `history` are logs; `ids` numbers
users and items.
"""
