"""The best items of a model for one query or for many, and the vectors that are solved for a query.

May import `model`, `index` and `event_loop`.
"""
