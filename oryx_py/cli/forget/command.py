"""``oryx forget``: the command."""

from typing import TYPE_CHECKING, Annotated

import typer

from oryx_py.cli.asking import AsJson, Url, connect
from oryx_py.cli.extras import need
from oryx_py.cli.invocation import Invocation, invocation
from oryx_py.cli.visible import offsets, visible
from oryx_py.errors import UserError

if TYPE_CHECKING:
    from oryx_py.cli.forget.proof import Proof
    from oryx_py.cli.forget.subject import Subject
    from oryx_py.cli.screen import Screen

__all__ = ["forget"]


def forget(
    context: typer.Context,
    who: Annotated[str, typer.Argument(metavar="ID", help="Of the user, or with --item of the item.")],
    item: Annotated[bool, typer.Option("--item", help="Forget an item, not a user.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Forget nothing: look for what still has it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Forget a user or an item for good, or prove that nothing has it any more.

    Without --verify the service is told. Within milliseconds nobody is
    recommended from it; with the next generation the history's files are
    rewritten without it; topics and older generations lose it as they are
    trimmed and deleted. It cannot be taken back. What comes in later about the
    same ID counts again, from then on alone.

    --verify looks into every record of the topics, every file of the history,
    every generation and this host's copies of them, for exactly this ID. It
    lists each place that still has something from before the forget, and until
    when. Only the forget itself stays: that is how an old copy of the data is
    kept from coming back. Ends with 0 if nothing has it, else with 1. What it
    cannot look into (logs, other hosts, backups) it names.

    Examples:

      oryx forget ann
      oryx forget --item solaris --yes
      oryx forget --verify ann
    """
    call = invocation(context)
    subject = _subject(who, item=item)
    if verify:
        proof = _verify(call, subject)
        _show(call.screen, proof, as_json=as_json)
        if not proof.proven:
            raise typer.Exit(1)
        return
    name = f"{subject.kind} {visible(subject.id)}"
    if call.screen.interactive and not yes:
        typer.confirm(f"Forget {name} for good?", abort=True)
    with connect(call, url) as service:
        written = service.forget_item(subject.id) if item else service.forget_user(subject.id)
    call.screen.line(str(written))
    call.screen.note(f"{name} is forgotten; `oryx forget --verify` says what still has something, and until when")


def _subject(who: str, *, item: bool) -> "Subject":
    from oryx_py.cli.forget.subject import Subject
    from oryx_py.errors import BadInteraction
    from oryx_py.events import check_id

    kind = "item" if item else "user"
    try:
        if not who:
            raise BadInteraction(f"{kind} is empty")
        check_id(who, kind)
    except BadInteraction as error:
        raise UserError(str(error)) from error
    return Subject("item" if item else "user", who)


def _verify(call: Invocation, subject: "Subject") -> "Proof":
    need("batch", "pyarrow")
    from oryx_py.adapters.kafka import KafkaAdmin, KafkaConsumer
    from oryx_py.cli.forget.verifying import Verifier
    from oryx_py.local.endpoint import located, resolve_bootstrap

    settings = located(call.settings())
    servers, client = resolve_bootstrap(settings), settings.kafka.client
    with call.screen.progress("looking", None) as bar:
        return Verifier(
            settings,
            subject,
            admin=KafkaAdmin(servers, client),
            new_consumer=lambda group: KafkaConsumer(servers, client, group),
            on_step=lambda what, done: bar.update(done, f"{what}: {done:,}"),
        )()


def _show(screen: "Screen", proof: "Proof", *, as_json: bool) -> None:
    if as_json:
        import msgspec

        screen.line(msgspec.json.encode(proof).decode())
        return
    name = f"{proof.kind} {visible(proof.id)}"
    for note in proof.notes:
        screen.note(note, style="yellow")
    if proof.left:
        rows = [(visible(left.place), left.what, left.until) for left in proof.left]
        screen.table(("still in", "what", "until"), rows)
        screen.line()
    at = f"forgotten at input offset {offsets(proof.forgotten)}" if proof.forgotten else "never forgotten"
    again = f"; {proof.again:,} records since then count anew" if proof.again else ""
    if proof.proven:
        screen.line(f"proven: nothing has {name} but the forget itself ({at}{again})")
    else:
        screen.line(f"{len(proof.left)} places still have {name} ({at}{again})")
    screen.note(f"looked at {', '.join(proof.looked_at)}")
    screen.note(f"not looked into: {'; '.join(proof.not_looked_into)}")
