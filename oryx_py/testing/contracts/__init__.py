"""Conformance suites: what an adapter must do, run against fakes and the real thing."""
