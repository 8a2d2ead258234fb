"""Writes on their way to Kafka: to which partition they go, and what of a request is acknowledged so far.

May import `http_semantics` and `event_loop`.
"""
