"""Messages of the update topic: encoding, decoding, partitions."""
