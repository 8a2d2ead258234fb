"""What may have somebody forgotten and cannot be looked into from here, in words. Pure."""

from oryx_py.config import Settings

__all__ = ["not_looked_into"]


def not_looked_into(settings: Settings) -> tuple[str, ...]:
    """Return what whoever asks has to look into himself, whatever was found."""
    listed = [
        "logs of the layers and of proxies (paths of requests have IDs)",
        "segments of Kafka's that are trimmed and not deleted yet (segment.bytes, file.delete.delay.ms)",
        "other copies of the topics",
        "caches and work folders of other hosts (run this there)",
        "backups, exports, and files that were imported or sent",
    ]
    if not settings.batch.spark_master.startswith("local"):
        listed.append("what Spark keeps in the local directories of executors, until its application ends")
    if settings.update.dialect == "oryx2":
        listed.append("the data and models that Oryx 2's batch layer keeps")
    return tuple(listed)
