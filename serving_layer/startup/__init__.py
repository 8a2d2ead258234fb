"""From settings to a layer that is ready: what it needs of the world, and what stands in until Kafka has answered.

May import everything but `app` and `bootstrap`.
"""
