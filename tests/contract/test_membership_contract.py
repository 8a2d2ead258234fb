"""The memberships of this project keep their contract."""

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from oryx_py.adapters.kafka import KafkaAdmin
from oryx_py.adapters.kafka.membership import KafkaMembership
from oryx_py.ports import TopicSpec
from oryx_py.testing.contracts.membership_contract import Members, MembershipContract
from oryx_py.testing.fake_broker import FakeLog
from oryx_py.testing.fake_group import FakeGroup, FakeMembership

PARTITIONS = 4


class TestFakeMembership(MembershipContract):
    @pytest.fixture
    def members(self) -> Members:
        now = [0.0]

        def wait() -> None:
            now[0] += 0.1

        group = FakeGroup(FakeLog(), "group", PARTITIONS, lambda: now[0])
        return Members(lambda name: FakeMembership(group, name), wait, PARTITIONS)


@pytest.mark.kafka
class TestKafkaMembership(MembershipContract):
    @pytest.fixture
    def members(self, kafka_broker: Any) -> Iterator[Members]:
        servers, name = kafka_broker.bootstrap_servers, f"members-{os.getpid()}-{time.time_ns()}"
        self.items = f"{name}-items"
        for topic in (name, self.items):
            KafkaAdmin(servers, {}).create(TopicSpec(topic, PARTITIONS, 1, {}))
        made = Members(
            lambda who: KafkaMembership(servers, {}, f"{name}-group", name, who, session_s=6.0),
            lambda: time.sleep(0.02),
            PARTITIONS,
        )
        yield made
        for member in made.members.values():
            member.close()
