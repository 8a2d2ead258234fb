"""Which partition a key belongs to, as Kafka's Java clients choose it."""

__all__ = ["murmur2", "partition_of"]

_MASK = 0xFFFFFFFF
_M = 0x5BD1E995
_SEED = 0x9747B28C


def murmur2(data: bytes) -> int:
    """Return the 32-bit MurmurHash2 of Kafka's Java clients, signed as in Java.

    Source: org.apache.kafka.common.utils.Utils.murmur2; librdkafka's `partitioner=murmur2_random` agrees.
    """
    length = len(data)
    h = _SEED ^ length
    whole = length & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * _M & _MASK
        k = (k ^ k >> 24) * _M & _MASK
        h = h * _M & _MASK ^ k
    if length > whole:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    h ^= h >> 15
    return h - (1 << 32) if h & 0x80000000 else h


def partition_of(id: str, partitions: int) -> int:  # noqa: A002 - the wire protocol's word
    """Return the partition, 0 … partitions-1, that records of this user or item are in."""
    return (murmur2(id.encode()) & 0x7FFFFFFF) % partitions
