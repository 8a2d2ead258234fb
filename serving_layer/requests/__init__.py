"""What is around every request: its route, ID, log line and metrics, its turn, and the way to its handler and back.

`app_keys` says what the application holds for handlers. May import `pages`, `api` and all below these.
"""
