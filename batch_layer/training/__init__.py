"""A generation's training on its mapped files, without Spark: who runs the tasks is given to it.

`item_training` is a training from beginning to end; `alone` does it in one task, `mapped_workers` by tasks that map the
factors, `blocks` by tasks that read the rows they need. Imports `task_files`, the recipe and the engine's port.
"""
