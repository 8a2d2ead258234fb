"""The model that is served, as requests see it: its state, what is ranked beside it, and whether it is ready.

May import `index` and `event_loop`.
"""
