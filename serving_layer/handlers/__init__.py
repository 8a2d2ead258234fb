"""The endpoints: each parses, asks, renders; `operations` lists them.

May import `queries`, `requests` and all below these.
"""
