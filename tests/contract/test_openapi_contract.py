"""The service does what its OpenAPI document says: schemathesis asks, with all its checks on.

``ORYX_SCHEMATHESIS_EXAMPLES=500 pytest tests/contract/test_openapi_contract.py`` asks for longer.
"""

import os
from urllib.parse import unquote

import numpy as np
import pytest
import requests
import schemathesis
from hypothesis import assume
from schemathesis.config import SchemathesisConfig

from serving_layer.api.parsing import MAX_RESULTS
from serving_layer.handlers.operations import OPERATIONS
from serving_layer.openapi.document import openapi_document
from tests.support import openapi_data
from tests.support.live import listening
from tests.support.openapi_data import COVERED, ITEMS, USERS, as_segments
from tests.support.serving import FixedModels, Harness, model_at, write_world

EXAMPLES = int(os.environ.get("ORYX_SCHEMATHESIS_EXAMPLES", "10"))

openapi_data.register()
schema = schemathesis.openapi.from_dict(
    openapi_document(OPERATIONS, context_path="/", read_only=False, default_format="json", version="1"),
    config=SchemathesisConfig.from_dict(
        {
            "seed": 20,
            "generation": {
                "mode": "all",
                "max-examples": EXAMPLES,
                "deterministic": "ORYX_SCHEMATHESIS_EXAMPLES" not in os.environ,
                "database": "none",
            },
        }
    ),
)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A small model whose IDs hurt, listening."""
    rng = np.random.default_rng(20)
    vectors = [{name: rng.normal(size=4).tolist() for name in names} for names in (USERS, ITEMS)]
    pairs = {user: {ITEMS[at]: 1.0, ITEMS[-1 - at]: -2.5} for at, user in enumerate(USERS)}
    model = model_at(write_world(tmp_path_factory.mktemp("world") / "g", "gen-1", pairs, *vectors, covers=COVERED))
    with listening(lambda: Harness(FixedModels(model), read_after_write_timeout_ms=50)) as address:
        yield address


class Parting(requests.Session):
    """Parts the segments of paths as requests leave: schemathesis looks at cases as they were drawn."""

    def send(self, request, **options):
        request.url = as_segments(request.url)
        return super().send(request, **options)


SESSION = Parting()


def can_be_said(case) -> bool:
    """Leave cases out that break a rule which JSON Schema has no words for; the document has them in its text."""
    if case.body == "":  # Of any format that it does not know, schemathesis takes it for a violation.
        return False
    body = case.body if isinstance(case.body, dict) else {}
    query = {"howMany": 10, "offset": 0} | dict(case.query)
    pages = [query, query | {key: value for key, value in body.items() if value is not None}]
    together = all(is_small(page["howMany"], page["offset"]) for page in pages)
    in_one_line = len(case.as_transport_kwargs(base_url="http://x")["url"]) + 3 * len(str(case.query)) < 16_000
    return together and in_one_line and asks_for_something_known(case) and not has_a_fraction_for_an_id(case.body)


def is_small(how_many: object, offset: object) -> bool:
    """Tell whether two numbers that are small enough each are so together; of others, the schema says enough."""
    try:
        page = float(how_many), float(offset)
    except (TypeError, ValueError):
        return True
    return max(page) > MAX_RESULTS or sum(page) <= MAX_RESULTS


def has_a_fraction_for_an_id(body: object) -> bool:
    """Of numbers for IDs, 7.0 is none, though JSON Schema takes it for a whole number like 7."""
    rows = [row for row in body if isinstance(row, dict)] if isinstance(body, list) else []
    return any(isinstance(row.get(key), float) for row in rows for key in ("user", "item", "event"))


def asks_for_something_known(case) -> bool:
    """Of the items that somebody is folded in from, one has to be known."""
    if case.operation.path != "/recommendToAnonymous/{items}":
        return True
    given = as_segments(str(case.path_parameters["items"])).split("/")
    return any(unquote(part) in ITEMS or unquote(part.rpartition("=")[0]) in ITEMS for part in given)


@schema.parametrize()
def test_the_service_does_what_its_document_says(case, service):
    assume(can_be_said(case))
    case.call_and_validate(base_url=service, session=SESSION)
