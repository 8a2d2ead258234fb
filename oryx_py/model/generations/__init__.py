"""A generation: its files as they are written and read, and the manifest that makes them one."""
