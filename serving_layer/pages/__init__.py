"""The pages for people: the console, and the documentation to browse.

Their HTML, CSS and scripts lie here. May import `openapi`, `api` and `http_semantics`.
"""
