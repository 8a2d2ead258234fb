"""Spark itself: a session's start and end, how many tasks it runs, how far they are, and what its errors mean."""
