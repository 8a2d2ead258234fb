"""What the speed layer sends: records made of updates and progress, dead letters, and the outbox that sends them.

Imports the topics' names and sizes, and nothing else of the layer.
"""
