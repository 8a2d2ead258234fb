"""A Kafka that wants TLS and a password, and gives a user the rights that docs/operations.md names and no others."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AclOperation, ResourceType

from oryx_py.adapters.kafka import KafkaAdmin, KafkaConsumer, KafkaProducer
from oryx_py.errors import BrokerUnavailable, ConfigError, OryxError
from oryx_py.ports import TopicSpec
from tests.support.secured_broker import PASSWORD, SecuredBroker
from tests.support.system import System, eventually

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("secured")]

SETUP = [AclOperation.CREATE, AclOperation.DESCRIBE, AclOperation.DESCRIBE_CONFIGS]
LAYERS = [AclOperation.READ, AclOperation.WRITE, AclOperation.DELETE]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    with SecuredBroker(tmp_path_factory.mktemp("secured") / "broker") as broker:
        yield broker


def login(broker: SecuredBroker, user: str = "oryx", password: str = PASSWORD) -> dict[str, str]:
    return {
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": str(broker.authority),
        "sasl.mechanism": "PLAIN",
        "sasl.username": user,
        "sasl.password": password,
    }


@pytest.mark.spark
@pytest.mark.timeout(600)
def test_the_whole_system_needs_these_rights_and_outlives_the_broker(broker: SecuredBroker, tmp_path: Path) -> None:
    client = {f"KAFKA__CLIENT__{name.upper().replace('.', '_')}": text for name, text in login(broker).items()}
    with System(tmp_path, broker.secured, **client) as system:
        begin = str(system.settings["INPUT__TOPIC"]).removesuffix("-input")
        broker.allow("oryx", [(ResourceType.TOPIC, begin, SETUP)])
        system.oryx("setup")
        broker.allow("oryx", [(ResourceType.TOPIC, begin, LAYERS), (ResourceType.GROUP, begin, [AclOperation.READ])])
        system.start("serve")
        system.start("speed")
        system.wait_up()
        system.ingest("".join(f"u{user},i{item},1\n" for user in range(20) for item in range(10) if (user + item) % 3))
        system.oryx("batch", "--once")
        system.wait_ready()
        system.post("u1", "new")
        eventually(lambda: "new" in system.get("/knownItems/u1").json(), 60)

        assert broker.process is not None
        broker.process.kill()
        broker.process.wait()
        broker.start()
        eventually(lambda: system.request("POST", "/pref/u1/later", b"").status == 204, 60)
        eventually(lambda: "later" in system.get("/knownItems/u1").json(), 60)

        KafkaAdmin(broker.secured, login(broker)).trim(str(system.settings["INPUT__TOPIC"]), {0: 1})
        assert (system.stop("speed"), system.stop("serve")) == (0, 0)
        for layer in ("speed", "serve"):
            assert "credentials" not in (tmp_path / f"{layer}.log").read_text()

        system.settings["KAFKA__CLIENT__SASL_PASSWORD"] = "another"
        refused = system.oryx("setup", "--check", check=False)
        assert refused.returncode == 2
        assert "check the credentials in kafka.client" in refused.stderr.splitlines()[-1]


def test_rights_that_come_later_need_no_restart(broker: SecuredBroker) -> None:
    """Without the right to write librdkafka's client ends for good; the producer says why, and gets another."""
    KafkaAdmin(broker.bootstrap_servers, {}).create(TopicSpec("later", 1, 1, {}))
    producer = KafkaProducer(broker.secured, login(broker, "other"))

    def sends() -> OryxError | None:
        try:
            producer.send("later", b"value")
            producer.flush(5.0)
        except OryxError as trouble:
            return trouble
        return None

    troubles: list[OryxError | None] = []
    eventually(lambda: troubles.append(sends()) or isinstance(troubles[-1], ConfigError), 60)
    assert "rights" in str(troubles[-1])
    broker.allow("other", [(ResourceType.TOPIC, "later", [AclOperation.WRITE, AclOperation.DESCRIBE])])
    eventually(lambda: sends() is None, 60)
    producer.close()


def test_reading_needs_no_right_to_a_group_and_a_position_does(broker: SecuredBroker) -> None:
    KafkaAdmin(broker.bootstrap_servers, {}).create(TopicSpec("read", 1, 1, {}))
    sender = KafkaProducer(broker.bootstrap_servers, {})
    sender.send("read", b"value")
    sender.flush(30.0)
    sender.close()
    broker.allow("other", [(ResourceType.TOPIC, "read", [AclOperation.READ])])
    consumer = KafkaConsumer(broker.secured, login(broker, "other"), "of-others")
    consumer.assign({("read", 0): 0})
    found: list[object] = []
    eventually(lambda: found.extend(consumer.poll(10, 1.0)) or found, 60)
    with pytest.raises(ConfigError, match="rights"):
        consumer.commit({("read", 0): 1})
    consumer.close()


def test_a_wrong_password_is_said_in_a_line(broker: SecuredBroker) -> None:
    client = login(broker, password="another")
    admin = KafkaAdmin(broker.secured, client, timeout_s=3.0)
    consumer = KafkaConsumer(broker.secured, client, "group", timeout_s=3.0)
    for ask in (lambda: admin.partitions("any"), lambda: consumer.committed([("any", 0)])):
        eventually(lambda ask=ask: "check the credentials in kafka.client" in refusal(ask), 60)  # type: ignore[misc]
    consumer.close()


def refusal(ask: Callable[[], object]) -> str:
    """What a request is refused with; nothing where the broker was too slow to say so."""
    try:
        ask()
    except BrokerUnavailable:
        return ""
    except ConfigError as refused:
        return str(refused)
    raise AssertionError("it was answered")
