"""The ports on real things: Kafka, file systems, the clock.

`kafka` is the log; `file_systems` are `Files`, of which `commit_logs` and `generation_stores` are made; `places` says
by the settings which of them, and is above all. Rooms import down (setup.cfg, the contract `adapters`).
"""
