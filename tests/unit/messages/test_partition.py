"""The partition of a key is the one that Kafka's own clients choose."""

import pytest
from confluent_kafka import Producer

from oryx_py.messages import murmur2, partition_of

# org.apache.kafka.common.utils.UtilsTest.testMurmur2
JAVA = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}


@pytest.mark.parametrize(("text", "hash_"), JAVA.items())
def test_murmur2_is_javas(text: str, hash_: int) -> None:
    assert murmur2(text.encode()) == hash_


def test_librdkafka_sends_a_key_to_the_partition_that_we_expect() -> None:
    keys = [f"user-{number}"[: 1 + number % 12] + "é" * (number % 3) for number in range(200)]
    went: dict[bytes | None, int | None] = {}
    producer = Producer(
        {
            "test.mock.num.brokers": 1,  # librdkafka's own broker, within this process
            "partitioner": "murmur2_random",
            "log_level": 0,
        }
    )
    for key in keys:
        producer.produce(
            "keys",
            b"",
            key=key.encode(),
            on_delivery=lambda error, record: went.__setitem__(record.key(), record.partition()),
        )
    assert producer.flush(30) == 0
    partitions = len(producer.list_topics("keys", timeout=30).topics["keys"].partitions)
    assert went == {key.encode(): partition_of(key, partitions) for key in keys}
    assert len(set(went.values())) > 1
