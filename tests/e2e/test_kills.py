"""kill -9 under load of each process that people depend on: nothing acknowledged is lost, and nothing counts twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from oryx_py.local.broker import EmbeddedBroker
from tests.support.kills import KILLABLE, Killable, Kills, Traffic, history, outcome
from tests.support.system import System, eventually

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("killed"), pytest.mark.timeout(600)]

USERS, ITEMS = 40, 30


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, EmbeddedBroker]]:
    """A system with a generation, on a broker that nobody else uses."""
    folder = Path(tmp_path_factory.mktemp("kills"))
    broker = EmbeddedBroker(folder / "broker", port=0)
    broker.start(timeout_s=120)
    try:
        with System(folder, broker.bootstrap_servers, SPEED__CHECKPOINT_INTERVAL_S=2) as system:
            system.oryx("setup")
            system.start("serve")
            system.start("speed")
            system.wait_up()
            system.ingest(history(USERS, ITEMS, seed=1))
            system.oryx("batch", "--once")
            system.wait_ready()
            yield system, broker
    finally:
        broker.stop()


@pytest.mark.parametrize("who", KILLABLE)
def test_what_was_acknowledged_counts_once_whoever_is_killed(
    mortal: tuple[System, EmbeddedBroker], who: Killable
) -> None:
    """While interactions come in through both doors; nobody but the serving layer keeps reads from being answered."""
    system, broker = mortal
    with Traffic(system, users=USERS, items=ITEMS, writers=2, readers=1, seed=KILLABLE.index(who)) as traffic:
        eventually(lambda: len(traffic.acknowledged) > 50, 60)
        Kills(system, broker, traffic).kill(who)
        seen = len(traffic.acknowledged)
        eventually(lambda: len(traffic.acknowledged) > seen + 50, 60)
    found = outcome(system, traffic)
    assert (found.missing, found.doubled, found.wrong) == (0, 0, [])
    assert found.acknowledged > 100
    assert traffic.failed_reads == []
