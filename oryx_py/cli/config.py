"""``oryx config``."""

import typer

from oryx_py.cli.invocation import invocation

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")


@app.callback()
def group() -> None:
    """Show, check and explain the settings.

    They come from oryx.toml (--config FILE) and, above it, from variables of the
    environment such as ORYX__KAFKA__BOOTSTRAP_SERVERS.
    """


@app.command()
def show(context: typer.Context) -> None:
    """Show every setting in force, and where its value comes from.

    Passwords and other secrets are masked.

    Example:

      oryx --config /etc/oryx.toml config show
    """
    from oryx_py.config import rows

    call = invocation(context)
    call.screen.table(("setting", "value", "from"), rows(call.load()))


@app.command()
def check(context: typer.Context) -> None:
    """Check the settings; ends with 2 and one line if something is wrong.

    Nothing is asked of Kafka or HDFS: `oryx setup --check` and `oryx status` do.

    Example:

      oryx config check && systemctl restart oryx
    """
    from oryx_py.adapters.places import check_places
    from oryx_py.config import check as advice

    call = invocation(context)
    loaded = call.load()
    check_places(loaded.settings)
    read = ", ".join(loaded.sources) or "nothing is set, all defaults"
    for line in advice(loaded):
        call.screen.note(f"note: {line}")
    call.screen.line(f"the settings are fine ({read})")


@app.command()
def reference(context: typer.Context) -> None:
    """Print the commented reference: every setting, what it is, and why its default.

    Example:

      oryx config reference > oryx.toml
    """
    from oryx_py.config import reference as text

    invocation(context).screen.line(text().rstrip("\n"))
