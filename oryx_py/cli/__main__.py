"""``python -m oryx_py.cli``: the command where its script is not on the path, and for the children of ``up``."""

from oryx_py.cli.main import main

main()
