"""What the OpenAPI document says in words about the whole interface. Pure."""

from typing import Final

__all__ = ["DESCRIPTION", "SUMMARY", "TAGS"]

SUMMARY: Final = "Recommendations that follow what users do within milliseconds"

DESCRIPTION: Final = """\
The vocabulary is that of Oryx 2, so that its clients keep working.

**Answers** are JSON or CSV by `Accept` (`text/plain` is CSV, too). CSV has a row a line, `id,value`, `id,count` or a
bare value, quoted by RFC 4180 where an ID needs it. They are compressed by `Accept-Encoding`; bodies of requests may be
gzip or deflate by `Content-Encoding`. HEAD is answered wherever GET is.

**IDs** are 1 to 1,024 bytes of UTF-8 without control characters, compared bytewise, never normalised. A slash in one
is `%2F` in a path: an unescaped slash begins the next ID. A path `/{items}` takes one or more IDs, a segment each;
clients that encode the whole as one segment, as generated ones do, send one.

**Your own writes**: a write answers, once it is stored, with its place in `X-Oryx-Offset`. Any read that is given it as
`after` waits until what it answers includes that.

**Errors** are `application/problem+json` (RFC 9457), whose `detail` says what is wrong and with what; `request_id` is
that of the log, and of the header `X-Request-Id`. A path that is not here is a 404, a method that a path does not take
a 405 with `Allow`; what is no HTTP gets a 400 and is not answered further.
"""

TAGS: Final = {
    "Recommend": "The best items: for a user, for several together, for whoever has just these, in a context.",
    "Similar items": "By cosine with items: which are similar, how much, and because of what somebody knows.",
    "Scores": "How much somebody is expected to like given items.",
    "Catalogue": "What there is: known items, the most popular, the most active, all IDs.",
    "Write": "Interactions, one or many, and taking them back. Answered when Kafka has acknowledged them; needs no "
    "model.",
    "Operate": "For those who run the service, and those who try it.",
}
"""By tag, in the order in which they are shown."""
