"""What a user sees of an error: one line that says what to do, and the exit code that scripts test.

=====  ===============================================================
code   meaning
=====  ===============================================================
0      done
1      it could not be done now, or not for everything
2      the user has to change something: an argument, a setting, an installation
130    Ctrl-C
=====  ===============================================================
"""

import errno
import os
import sys
import traceback

import typer
from typer.core import TyperGroup

from oryx_py.cli.invocation import Invocation
from oryx_py.cli.screen import Screen
from oryx_py.errors import OryxError, UserError

__all__ = ["OryxGroup", "explain"]


def explain(error: Exception) -> tuple[str, int]:
    """Return the line for an error, and the exit code."""
    if isinstance(error, OryxError):
        return str(error).strip() or type(error).__name__, 2 if isinstance(error, UserError) else 1
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}", 1
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return f"unforeseen {text}; this should be reported, with what `oryx --debug …` prints", 1


class OryxGroup(TyperGroup):
    """The top command: errors of what is below it end here, in one line and an exit code."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]  # typer's own alias of the same class
        """Run the command that the arguments name."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            if isinstance(error, (typer.Exit, typer.Abort, typer.TyperException)):
                raise
            if isinstance(error, OSError) and error.errno == errno.EPIPE:  # `oryx tail input | head`
                sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - what is left to flush goes nowhere
                raise typer.Exit(0) from None
            found = ctx.find_object(Invocation)
            if found is not None and found.debug:
                traceback.print_exception(error)
            line, code = explain(error)
            Screen().note(f"oryx: {line}", style="red")
            raise typer.Exit(code) from None
