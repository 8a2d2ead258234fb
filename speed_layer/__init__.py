"""The speed layer: exact fold-in of every interaction, in real time.

`bootstrap` puts it together and runs it, `assembly` for generations of our own; `layer` is the loop over the epochs
held, and `group_member` has one such loop for each set of input partitions where several processes share the input. The
packages are the rooms below, each of which says what is in it. Imports point down, as the contract in ``setup.cfg`` has
it.
"""
