"""Logs of commits in files, each created only if absent: the history's and the registry's. Imports `file_systems`."""
