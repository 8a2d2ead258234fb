"""The engine on Spark; nothing else imports pyspark.

`engine` implements the port, `training` is step (c), `world` writes worlds of any size. The rooms, from the top down:
`evaluation`, `mllib`, `fitting`, `preparing`, `rows`, `session`; each imports only what is below it (setup.cfg, the
contract `batch-spark`).
"""
