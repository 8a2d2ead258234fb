"""``oryx setup``."""

from typing import Annotated

import typer

from oryx_py.cli.invocation import invocation

__all__ = ["setup"]

_SAFE_REPLICATION = 3


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
    from oryx_py.adapters.kafka.setup_topics import ensure_topics
    from oryx_py.cli.topics import specs_of
    from oryx_py.local.endpoint import resolve_bootstrap

    call = invocation(context)
    settings = call.settings()
    bootstrap = resolve_bootstrap(settings)
    specs = specs_of(settings, replication)
    if specs[0].replication < _SAFE_REPLICATION and not _on_loopback(bootstrap):
        call.screen.note(
            f"{specs[0].replication} of {_SAFE_REPLICATION} replicas: a broker that is lost takes acknowledged "
            f"interactions with it; take --replication {_SAFE_REPLICATION} where there are as many brokers",
            style="yellow",
        )
    admin = KafkaAdmin(bootstrap, settings.kafka.client)
    missing = [spec for spec in specs if admin.partitions(spec.name) is None]
    findings = ensure_topics(admin, specs, create=not check)
    if not check:
        findings = [*(f"{spec.name} created with {spec.partitions} partitions" for spec in missing), *findings]
    for finding in findings:
        call.screen.line(finding)
    if not findings:
        call.screen.line("all topics are there and as they should be")
    elif check:
        raise typer.Exit(1)


def _on_loopback(bootstrap: str) -> bool:
    hosts = {server.strip().rpartition(":")[0] for server in bootstrap.split(",")}
    return hosts <= {"127.0.0.1", "localhost", "[::1]"}
