"""What can go wrong, by what to do next.

::

    OryxError
    ├── UserError
    │   ├── Unreachable      nothing listens at the address
    │   ├── Rejected         4xx: change the call
    │   │   ├── NotFound     404: an unknown user or item, or one without a vector yet
    │   │   └── TooLarge     413: send less at once
    │   └── NotReady
    │       └── Unavailable  503: no model, or Kafka is away; ``accepted`` says how much of a body is stored
    ├── Transient
    │   ├── NoAnswer         the connection broke, or it took too long: nobody knows whether it was done
    │   ├── Busy             429
    │   └── NotVisibleYet    504: what ``after`` names is not in the model in time
    └── Failed               anything else that is no success: 3xx, 500, 501, 502
        └── Unreadable       a success whose content is not what the service answers

All with a status are a `Refusal` too: ``status``, ``detail``, ``request_id`` and the rest of the answer.
"""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import msgspec

from oryx_py.client.values import Written
from oryx_py.errors import NotReady, OryxError, Transient, UserError

__all__ = [
    "Busy",
    "Failed",
    "NoAnswer",
    "NotFound",
    "NotVisibleYet",
    "Refusal",
    "Rejected",
    "TooLarge",
    "Unavailable",
    "Unreachable",
    "Unreadable",
    "refusal_of",
    "written_of",
]


class Unreachable(UserError):
    """Nothing listens at the address."""


class NoAnswer(Transient):
    """The connection broke, or no answer came in time: whether the request was carried out is not known."""


class Refusal(OryxError):
    """The service answered, and not with what was asked for.

    Attributes:
        status: HTTP's.
        detail: the service's own reason, in one line.
        request_id: under which its log has more; empty where it told none.
        retry_after_s: when it asks to be called again, None where it does not say.
        accepted: how many interactions of a bulk write are stored, from the first on.
        written: where those are.
        members: the whole problem (RFC 9457).
    """

    _text = "{detail}"

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        request_id: str = "",
        retry_after_s: float | None = None,
        written: Written = Written(),  # noqa: B008 - it is frozen
        members: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(self._text.format(status=status, detail=detail))
        self.status = status
        self.detail = detail
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        self.written = written
        self.members = members or {}

    @property
    def accepted(self) -> int:
        """See the class."""
        found = self.members.get("accepted")
        return found if isinstance(found, int) else 0


class Rejected(Refusal, UserError):
    """The service does not take this call: 4xx."""


class NotFound(Rejected):
    """An unknown user or item, or one without a vector yet: 404."""


class TooLarge(Rejected):
    """The body is too large: 413."""


class Busy(Refusal, Transient):
    """There is too much to do at once: 429."""

    _text = "the service has too much to do: {detail}"


class Unavailable(Refusal, NotReady):
    """What is needed is not there now: 503."""

    _text = "the service is not ready: {detail}"


class NotVisibleYet(Refusal, Transient):
    """What ``after`` names did not come into the model in time: 504."""


class Failed(Refusal):
    """The service, or something before it, failed."""

    _text = "the service answered {status}: {detail}"


class Unreadable(Failed):
    """The status says success, and the content is not what the service answers."""

    _text = "the service's answer cannot be read ({detail}): is it an oryx service?"


_KINDS: Mapping[int, type[Refusal]] = {
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: TooLarge,
    HTTPStatus.TOO_MANY_REQUESTS: Busy,
    HTTPStatus.SERVICE_UNAVAILABLE: Unavailable,
    HTTPStatus.GATEWAY_TIMEOUT: NotVisibleYet,
}


def refusal_of(status: int, headers: Mapping[str, str], body: bytes) -> Refusal:
    """Return the error for an answer that is no success.

    Args:
        status: HTTP's, not 2xx.
        headers: of any case, as they came.
        body: a problem document, or whatever a proxy wrote, of which nothing is told.
    """
    members = _members(body)
    reason = next((text for key in ("detail", "title") if isinstance(text := members.get(key), str) and text), "")
    kind = _KINDS.get(status, Rejected if 400 <= status < 500 else Failed)
    return kind(
        status,
        " ".join(reason.split()) or f"HTTP status {status}",
        request_id=headers.get("X-Request-Id", ""),
        retry_after_s=_retry_after_s(headers),
        written=written_of(headers),
        members=members,
    )


def written_of(headers: Mapping[str, str]) -> Written:
    """Return what ``X-Oryx-Offset`` names; nothing where it is not there, or is not one of ours."""
    try:
        return Written.parse(headers.get("X-Oryx-Offset", ""))
    except ValueError:
        return Written()


def _members(body: bytes) -> dict[str, object]:
    try:
        return msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.MsgspecError, RecursionError):
        return {}


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Read ``Retry-After``, seconds or a date; a date counts from the answer's own."""
    text = headers.get("Retry-After", "")
    if text.isdecimal() and text.isascii():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - parsedate_to_datetime(headers["Date"])).total_seconds())
    except (KeyError, ValueError, TypeError):
        return None
