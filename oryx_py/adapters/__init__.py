"""The ports on real things: Kafka, the file system, the clock."""
