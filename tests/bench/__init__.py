"""Benchmarks: seeded, with quality printed beside speed, run by hand (`python -m tests.bench.NAME --help`)."""
