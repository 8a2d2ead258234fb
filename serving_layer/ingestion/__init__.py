"""Bulk writes of any size in bounded memory: read line by line while they arrive, spooled, then sent.

Which form a body has (`formats`), a reader for each, files in it, and where it waits on disk (`spool`). May import
`http_semantics` and `event_loop`.
"""
