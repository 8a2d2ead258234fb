"""Where the tasks of a run leave files to each other, and the working directory that a run is lent.

Imports `host`.
"""
