"""What the layers need of the world, as protocols."""

from oryx_py.ports.clock import Clock
from oryx_py.ports.index import IndexBuilder
from oryx_py.ports.log import (
    Consumer,
    Delivery,
    EndOfPartition,
    Headers,
    OnDelivery,
    OnFailure,
    Outgoing,
    Partition,
    Producer,
    Record,
    TopicAdmin,
    TopicSpec,
)
from oryx_py.ports.store import ArtefactStore, Commit, CommitLog

__all__ = [
    "ArtefactStore",
    "Clock",
    "Commit",
    "CommitLog",
    "Consumer",
    "Delivery",
    "EndOfPartition",
    "Headers",
    "IndexBuilder",
    "OnDelivery",
    "OnFailure",
    "Outgoing",
    "Partition",
    "Producer",
    "Record",
    "TopicAdmin",
    "TopicSpec",
]
