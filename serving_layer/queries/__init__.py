"""What the endpoints that read share: the model as of a write, users and items in it, a page of what is best.

May import `requests` and all below it; no endpoint stands here.
"""
