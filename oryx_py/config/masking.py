"""Values as people may see them: as TOML has them, without secrets."""

import json
import re
from collections.abc import Mapping

__all__ = ["MASK", "is_secret", "masked", "one_line", "shown"]

MASK = "********"
_LONGEST = 160

# "key" also hides where keys are; better one path too few than one key too many.
_SECRET = re.compile("password|passphrase|secret|token|credential|key|jaas|oauthbearer[.]config", re.IGNORECASE)
_USER_INFO = re.compile(r"(?<=://)[^/@\s]+(?=@)")


def is_secret(key: str) -> bool:
    """Say whether the value of a dotted key is never shown; only the open tables have such."""
    return key.startswith(("kafka.client.", "batch.spark.")) and _SECRET.search(key) is not None


def masked(table: str, properties: Mapping[str, str]) -> dict[str, str]:
    """Return an open table's properties with asterisks for the secret ones."""
    return {name: MASK if is_secret(f"{table}.{name}") else value for name, value in properties.items()}


def one_line(text: str) -> str:
    """Return text for a message: what would break the line escaped, and cut where it is long."""
    escaped = text if text.isprintable() else repr(text)[1:-1]
    return escaped if len(escaped) <= _LONGEST else f"{escaped[:_LONGEST]}…"


def shown(key: str, value: object) -> str:
    """Return a value as TOML has it, asterisks for a secret, and for who is named in a URI."""
    if is_secret(key):
        return MASK
    if isinstance(value, (str, bool)):
        return _USER_INFO.sub(MASK, json.dumps(value, ensure_ascii=False))
    return _USER_INFO.sub(MASK, str(value)) if not isinstance(value, dict) else "a table"
