"""``oryx setup``."""

from typing import Annotated

import typer

from oryx_py.cli.invocation import invocation

__all__ = ["setup"]


def setup(
    context: typer.Context,
    replication: Annotated[
        int | None,
        typer.Option("--replication", min=1, max=10, help="Replicas of each topic; without it, kafka.replication."),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Create nothing, only look.")] = False,
) -> None:
    """Create the topics that are missing, and check those that are there.

    Running it again changes nothing. `oryx up` and `oryx demo` do it by
    themselves. With --check it ends with 1 if anything is missing or not as
    it should be.

    Examples:

      oryx setup
      oryx setup --replication 3      on a cluster: also min.insync.replicas=2
      oryx setup --check
    """
    from oryx_py.adapters.kafka import KafkaAdmin
    from oryx_py.adapters.setup_topics import ensure_topics, topic_specs
    from oryx_py.local.endpoint import resolve_bootstrap

    call = invocation(context)
    settings = call.settings()
    admin = KafkaAdmin(resolve_bootstrap(settings), settings.kafka.client)
    findings = ensure_topics(admin, topic_specs(settings, replication), create=not check)
    for finding in findings:
        call.screen.line(finding)
    if not findings:
        call.screen.line("all topics are there and as they should be")
    elif check:
        raise typer.Exit(1)
