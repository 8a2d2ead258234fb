"""The log on Kafka."""

from oryx_py.adapters.kafka_admin import KafkaAdmin
from oryx_py.adapters.kafka_consumer import KafkaConsumer
from oryx_py.adapters.kafka_producer import KafkaProducer

__all__ = ["KafkaAdmin", "KafkaConsumer", "KafkaProducer"]
