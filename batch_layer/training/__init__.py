"""A generation's training on its mapped files, without Spark: who runs the tasks is given to it."""
