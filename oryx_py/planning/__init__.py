"""What a model of some size takes: bytes, time and machines, from measured constants."""
