"""The batch layer: history, training, generations.

Here is what puts it together: `bootstrap` runs it on Spark, `assembly` makes the layer of its parts, `history_import`
imports into its history, `stores` opens what outlives a run. `engine` is the port to what does the heavy work, which
`spark` implements, and `recipe` is what the settings say of a generation. The rooms, from the top down, each of which
imports only what is below it (setup.cfg, the contract `batch`):

- `run`: one run of the protocol, step by step, and when the next one begins
- `spark`: the engine on Spark; nothing else knows pyspark
- `housekeeping`: what is dropped, trimmed, deleted and merged: topics, generations, the history's rows
- `training`: alternating least squares on mapped files, whoever runs the tasks
- `evaluation`: how good a model is for what came after it
- `publishing`: epochs, going back to one, and what a dead process left of one
- `history`: the files of rows, imports into them, and the generation that the next one is folded on
- `folding`: what tasks do with rows and pairs, in columns
- `locking`: one run at a time
- `task_files`: what tasks leave to each other
- `telemetry`: progress, metrics, seconds
- `host`: this machine's cores, memory and disks
"""
