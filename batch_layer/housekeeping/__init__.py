"""What is dropped, trimmed, deleted and merged, lest anything grows for ever: topics, generations, the history's rows.

Modules that decide are pure (`trim_points`, `generation_retention`, `row_retention`, `carried_forgets`,
`outstanding_forgets`, `merge_planning`); those that act look up their facts (`after_epoch`, `topic_trimming`,
`pruning`, `file_merging`). Imports `history`, `publishing`, the engine's port and what is below these.
"""
