"""Messages of the update topic: encoding, decoding, partitions."""

from oryx_py.messages.codec import decode, encode
from oryx_py.messages.partition import murmur2, partition_of
from oryx_py.messages.update import ItemGone, ItemVector, Message, ModelRef, Progress, Update, UserGone, UserVector

__all__ = [
    "ItemGone",
    "ItemVector",
    "Message",
    "ModelRef",
    "Progress",
    "Update",
    "UserGone",
    "UserVector",
    "decode",
    "encode",
    "murmur2",
    "partition_of",
]
