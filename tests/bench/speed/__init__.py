"""The speed layer's throughput, from topic to topic; `python -m tests.bench.speed --json`."""
