"""Topics are created as they should be, never changed, and what is amiss is told with its remedy."""

import pytest

from oryx_py.adapters.kafka.setup_topics import ensure_topics, topic_specs
from oryx_py.errors import TopicsChanged
from oryx_py.ports import TopicSpec
from oryx_py.testing.fake_log import FakeAdmin, FakeLog


@pytest.fixture
def admin() -> FakeAdmin:
    return FakeAdmin(FakeLog())


def specs(replication: int = 1, input_partitions: int = 4, max_record_bytes: int = 1_048_576) -> list[TopicSpec]:
    return topic_specs(
        input_topic="In",
        update_topic="Up",
        items_topic="Items",
        dead_letter_topic="In.dead-letter",
        input_partitions=input_partitions,
        update_partitions=2,
        replication=replication,
        max_record_bytes=max_record_bytes,
    )


def test_the_four_topics_have_their_partitions() -> None:
    """Items as the input, dead letters one."""
    assert {spec.name: spec.partitions for spec in specs()} == {"In": 4, "Up": 2, "Items": 4, "In.dead-letter": 1}


def test_nothing_expires_by_itself_and_time_is_the_brokers() -> None:
    """What was accepted stays until the batch layer trims it."""
    for spec in specs():
        assert spec.config["retention.ms"] == spec.config["retention.bytes"] == "-1"
        assert spec.config["cleanup.policy"] == "delete"
        assert spec.config["message.timestamp.type"] == "LogAppendTime"


@pytest.mark.parametrize(("record", "batch"), [(4096, 262_144), (1_048_576, 1_048_576), (5_000_000, 5_000_000)])
def test_a_topic_takes_the_largest_record_and_the_largest_batch(record: int, batch: int) -> None:
    """With room for key and headers."""
    assert {int(spec.config["max.message.bytes"]) for spec in specs(max_record_bytes=record)} == {batch + 65_536}


@pytest.mark.parametrize(("replication", "safe"), [(1, False), (2, False), (3, True), (5, True)])
def test_from_three_replicas_on_two_must_have_a_record(replication: int, safe: bool) -> None:
    """With fewer, one broker's absence would stop all writing."""
    for spec in specs(replication):
        assert spec.replication == replication
        assert (spec.config.get("min.insync.replicas") == "2") is safe
        assert (spec.config.get("unclean.leader.election.enable") == "false") is safe


def test_missing_topics_are_created_once(admin: FakeAdmin) -> None:
    """The second time there is nothing to do, and nothing to tell."""
    assert ensure_topics(admin, specs(), create=True) == []
    identities = [admin.topic_id(spec.name) for spec in specs()]
    assert ensure_topics(admin, specs(), create=True) == []
    assert [admin.topic_id(spec.name) for spec in specs()] == identities
    assert ensure_topics(admin, specs(), create=False) == []


def test_looking_creates_nothing(admin: FakeAdmin) -> None:
    """Each missing topic is told with the command that creates it."""
    admin.create(specs()[0])
    findings = ensure_topics(admin, specs(), create=False)
    assert [finding.split()[0] for finding in findings] == ["In.dead-letter", "Items", "Up"]
    assert all("oryx setup" in finding for finding in findings)
    assert admin.partitions("Up") is None


def test_another_count_of_partitions_is_refused(admin: FakeAdmin) -> None:
    """Before anything is created: users would move to other partitions than their history is in."""
    admin.create(TopicSpec("In", 16, 1, {}))
    with pytest.raises(TopicsChanged, match="In has 16 partitions, not 4"):
        ensure_topics(admin, specs(), create=True)
    assert admin.partitions("Up") is None


def test_settings_that_differ_are_told_with_their_remedy(admin: FakeAdmin) -> None:
    """They are not changed: somebody may have meant them."""
    wanted = specs()
    expiring = {**wanted[0].config, "retention.ms": "604800000", "message.timestamp.type": "CreateTime"}
    admin.create(TopicSpec("In", 4, 1, expiring))
    findings = ensure_topics(admin, wanted, create=True)
    assert len(findings) == 2
    assert "In: retention.ms is 604800000, should be -1" in findings[0]
    assert "--alter --topic In --add-config retention.ms=-1" in findings[0]
    assert "message.timestamp.type is CreateTime, should be LogAppendTime" in findings[1]
    assert admin.config("In")["retention.ms"] == "604800000"


@pytest.mark.parametrize(("bytes_", "amiss"), [(-1, True), (0, False), (1, False)])
def test_a_topic_may_take_larger_records_than_asked_for(admin: FakeAdmin, bytes_: int, amiss: bool) -> None:
    """But not smaller ones."""
    wanted = specs()[0]
    limit = str(int(wanted.config["max.message.bytes"]) + bytes_)
    admin.create(TopicSpec("In", 4, 1, {**wanted.config, "max.message.bytes": limit}))
    assert bool(ensure_topics(admin, [wanted], create=True)) is amiss


def test_a_setting_that_the_broker_does_not_know_is_told(admin: FakeAdmin) -> None:
    """An old broker, or another product."""
    wanted = TopicSpec("In", 4, 1, {"min.insync.replicas": "2"})
    admin.create(TopicSpec("In", 4, 1, {}))
    (finding,) = ensure_topics(admin, [wanted], create=True)
    assert "min.insync.replicas is not set, should be 2" in finding
