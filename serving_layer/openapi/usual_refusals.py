"""Why each status is given as a rule, in words. Pure."""

from typing import Final, NamedTuple

__all__ = ["KAFKA_AWAY", "NOBODY_FORGETS", "USUAL", "Usual"]


class Usual(NamedTuple):
    """Why a status is given as a rule, and how it reads."""

    why: str
    example: str


USUAL: Final = {
    400: Usual(
        "An argument or the body is not what it should be.", "howMany must be a whole number, 1 to 100000, not '0'"
    ),
    403: Usual(
        "The service is read-only, or a page of another site sent this write.",
        "this service is read-only (serving.api.read_only)",
    ),
    404: Usual("There is nothing of this name.", "user 'nobody' is unknown"),
    406: Usual(
        "The answer does not come in a form that the client takes.",
        "answers are application/json or text/csv, and Accept is 'image/png'",
    ),
    408: Usual(
        "The body came too slowly.", "the body came too slowly, with less than 163840 bytes in 10 s; nothing was stored"
    ),
    413: Usual(
        "The body is too large, as sent or as inflated.",
        "the body has more than 16777216 bytes: send it in several requests",
    ),
    415: Usual(
        "The body's media type, charset or encoding is not known.",
        "Content-Encoding must be gzip or deflate, not 'br'",
    ),
    429: Usual("There is too much to do at once.", "512 requests are being answered: ask again in a moment"),
    500: Usual(
        "This should not have happened, and is in the log.",
        "this should not have happened; the log has more under the request's ID",
    ),
    501: Usual(
        "The service cannot tell what it has read (`after`).",
        "after needs the progress messages of the speed layer, which are turned off",
    ),
    503: Usual(
        "There is no model yet, or the work was not done in time.",
        "no model has been published yet: the batch layer makes the first one",
    ),
    504: Usual(
        "What was written is not in the model in time (`after`).",
        "what was written is not in the model after 2 s: ask again later, or leave out after",
    ),
}
KAFKA_AWAY: Final = Usual(
    "Kafka does not acknowledge; the write may be stored all the same.", "no acknowledgement from Kafka within 3000 ms"
)
NOBODY_FORGETS: Final = Usual(
    "Nobody would forget anything.",
    'nothing was forgotten: with update.dialect = "oryx2" the models are those of an Oryx 2 batch layer',
)
