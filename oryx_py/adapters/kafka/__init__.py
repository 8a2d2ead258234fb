"""The log on Kafka, and the membership of groups. Imports no other adapter."""

from oryx_py.adapters.kafka.admin import KafkaAdmin
from oryx_py.adapters.kafka.consumer import KafkaConsumer
from oryx_py.adapters.kafka.producer import KafkaProducer

__all__ = ["KafkaAdmin", "KafkaConsumer", "KafkaProducer"]
