"""One run of the batch protocol (docs/batch-protocol.md): its steps in `layer`, which are the room's centre.

Beside it: which offsets are new, whether there is anything to train, the making of a generation, and `schedule`, which
begins run after run. Imports every room but `spark`; the engine is given to it.
"""
