"""What settings have to do with one another: what cannot be, and what is probably not meant. Pure."""

from collections import Counter
from collections.abc import Container, Iterator

from oryx_py.config.groups import LOCAL_BROKER, Settings

__all__ = ["advice", "conflict", "conflict_of_publishers"]

_IMPLICIT_ONLY = ("model.alpha", "model.log_strength", "model.epsilon")


def conflict(settings: Settings) -> str | None:
    """Return one line on the first pair of settings that cannot be together; None if all can."""
    for own in ("bootstrap.servers", "metadata.broker.list"):
        if own in settings.kafka.client:
            return f"kafka.client: remove {own!r}, and set kafka.bootstrap_servers to it"
    topics = {
        "input.topic": settings.input.topic,
        "update.topic": settings.update.topic,
        "items.topic": settings.items.topic,
        "dead_letter.topic": settings.dead_letter_topic,
    }
    (topic, uses), *_ = Counter(topics.values()).most_common(1)
    if uses > 1:
        keys = " and ".join(key for key, name in topics.items() if name == topic)
        return f"{keys} are both {topic!r}: each needs a topic of its own"
    if settings.model.feedback == "explicit" and (key := _adds_up(settings)):
        return f'{key} is for implicit feedback, where strengths add up: remove it, or set model.feedback = "implicit"'
    if settings.model.biases and (reason := _without_biases(settings)):
        return f"model.biases = true {reason}"
    api = settings.serving.api
    if api.max_inflated_bytes < api.max_body_bytes:
        return (
            f"serving.api.max_inflated_bytes = {api.max_inflated_bytes} must be at least "
            f"serving.api.max_body_bytes = {api.max_body_bytes}"
        )
    if settings.update.dialect == "oryx2" and settings.speed.fold_in == "exact":
        return (
            'update.dialect = "oryx2" needs speed.fold_in = "oryx": an Oryx 2 model has no histories, without which '
            "nothing can be solved exactly"
        )
    if settings.speed.instance and settings.speed.fold_in == "oryx":
        return 'speed.instance is for speed.fold_in = "exact": by Oryx 2\'s rule one process does it all, remove it'
    return None


def _without_biases(settings: Settings) -> str | None:
    """Why these settings know no biases, and what to do."""
    if settings.model.feedback == "implicit":
        return 'is for ratings: set model.feedback = "explicit" if strengths are ratings, else remove it'
    if settings.batch.trainer == "mllib":
        return 'needs batch.trainer = "ials": Spark\'s trainer knows no biases'
    if settings.speed.fold_in == "oryx":
        return 'needs speed.fold_in = "exact": Oryx 2\'s rule knows no biases'
    return None


def _adds_up(settings: Settings) -> str | None:
    """The first key that is set of those that only sums of strengths have a use for."""
    uses = {
        "model.half_life_h": settings.model.half_life_h,
        "model.zero_threshold": settings.model.zero_threshold,
        "input.kinds": settings.input.kinds,
    }
    return next((key for key, value in uses.items() if value), None)


def conflict_of_publishers(settings: Settings) -> str | None:
    """Return one line on why no generation of our own may be published; None if it may."""
    if settings.update.dialect == "oryx2":
        return (
            f'update.dialect = "oryx2": {settings.update.topic} has the models of an Oryx 2 batch layer, and a topic '
            'has publishers of one kind only; stop that one and set "oryx", or leave this one out (oryx up --no-batch)'
        )
    return None


def advice(settings: Settings, given: Container[str]) -> Iterator[str]:
    """Iterate over what is allowed, but probably not meant; a line each.

    Args:
        settings: all of them.
        given: the dotted keys that somebody has set.
    """
    yield from _on_protection(settings)
    yield from _on_clusters(settings)
    if settings.model.feedback == "explicit":
        for key in _IMPLICIT_ONLY:
            if key in given:
                yield f"{key} has no effect with explicit feedback"
    elif "model.epsilon" in given and not settings.model.log_strength:
        yield "model.epsilon has no effect without model.log_strength"
    api = settings.serving.api
    if api.read_after_write_timeout_ms >= api.request_timeout_ms:
        yield (
            "serving.api.read_after_write_timeout_ms is not below serving.api.request_timeout_ms, which ends such a "
            "request first"
        )
    if api.write_timeout_ms >= api.request_timeout_ms:
        yield "serving.api.write_timeout_ms is not below serving.api.request_timeout_ms, which ends a write first"


def _on_protection(settings: Settings) -> Iterator[str]:
    if not _is_loopback(settings.serving.host):
        yield f"serving.host = {settings.serving.host}: whoever reaches this address may read and write; protect it"
    for group, part in (("batch", settings.batch), ("speed", settings.speed)):
        if part.metrics_port and not _is_loopback(part.metrics_host):
            yield f"{group}.metrics_host = {part.metrics_host}: whoever reaches this address may read the metrics"
    if settings.kafka.bootstrap_servers == LOCAL_BROKER and not _is_loopback(settings.local.broker_host):
        yield f"local.broker_host = {settings.local.broker_host}: whoever reaches this machine may use the broker"


def _on_clusters(settings: Settings) -> Iterator[str]:
    servers = settings.kafka.bootstrap_servers
    if servers == LOCAL_BROKER:
        if settings.kafka.replication > 1:
            yield f"kafka.replication = {settings.kafka.replication}: the embedded broker can keep one replica only"
    elif not all(_is_loopback(server.strip().rpartition(":")[0]) for server in servers.split(",")):
        if settings.kafka.replication == 1:
            yield "kafka.replication = 1: one broker's disk is all that keeps the interactions; take 3"
        if settings.kafka.client.get("security.protocol", "plaintext").lower() == "plaintext":
            yield "kafka.client has no security.protocol: interactions travel to the brokers unprotected"
    if not settings.batch.spark_master.startswith("local") and "://" not in settings.history_uri:
        yield f"history.uri = {settings.history_uri}: every Spark executor must see the same folder there"
    if not settings.batch.spark_master.startswith("local") and not settings.batch.work_dir:
        yield 'batch.work_dir = "": every Spark executor must see the same folder there; set one that is shared, or hdfs://'


def _is_loopback(host: str) -> bool:
    return host in {"localhost", "::1", "[::1]"} or host.startswith("127.")
