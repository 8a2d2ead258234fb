"""Starting a program that the kernel kills with its parent (Linux; elsewhere the program is started as it is).

This file is also the small program that does it: run by path, it asks for the signal and becomes the command.
That keeps the request out of ``preexec_fn``, which is not safe in a process with threads.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

__all__ = ["leashed"]

_PR_SET_PDEATHSIG = 1


def leashed(command: Sequence[str]) -> list[str]:
    """Return ``command`` so wrapped that SIGKILL reaches it when the *thread* that starts it ends.

    Start it from a thread that lives as long as the program should: the main thread, as a rule.
    """
    if not sys.platform.startswith("linux"):
        return list(command)
    # -I -S: nothing but the standard library, some 20 ms.
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def main(arguments: Sequence[str]) -> None:
    """Become ``arguments[1:]``, to be killed with the process ``arguments[0]``."""
    parent, *command = arguments
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):  # it died before the request was made
        sys.exit(1)
    try:
        os.execvp(command[0], command)  # noqa: S606 - to be the command, not to have it
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
