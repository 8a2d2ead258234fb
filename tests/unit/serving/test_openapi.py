"""The OpenAPI document: valid, whole, and made of nothing but the operations."""

import json
import re

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from serving_layer.api.parameter import Place
from serving_layer.handlers.operations import OPERATIONS
from serving_layer.openapi.document import openapi_document, paths_of
from serving_layer.openapi.texts import TAGS
from tests.support.serving import FixedModels, Harness


def made(**settings):
    whole = {"context_path": "/", "read_only": False, "default_format": "json", "version": "1.2.3"} | settings
    return json.loads(json.dumps(openapi_document(OPERATIONS, **whole)))


DOCUMENT = made()
EACH = [(path, method, found) for path, item in DOCUMENT["paths"].items() for method, found in item.items()]
NAMED = pytest.mark.parametrize(("path", "method", "found"), EACH, ids=[f"{m} {p}" for p, m, _ in EACH])


def resolved(value):
    if isinstance(value, dict) and "$ref" in value:
        for part in value["$ref"].removeprefix("#/").split("/"):
            value = (DOCUMENT if part == "components" else value)[part]
    return value


@pytest.mark.parametrize(
    "settings", [{}, {"context_path": "/a/b"}, {"read_only": True}, {"default_format": "csv"}], ids=str
)
def test_the_document_is_valid_openapi_3_1(settings):
    found = made(**settings)
    OpenAPIV31SpecValidator(found).validate()
    assert found["openapi"] == "3.1.0"
    assert found["info"]["version"] == "1.2.3"


async def test_the_service_publishes_it_and_it_names_every_route():
    async with Harness(FixedModels(), context_path="/rec") as client:
        response = await client.get("/rec/openapi.json")
        assert response.content_type == "application/json"
        published = await response.json()
    OpenAPIV31SpecValidator(published).validate()
    assert published["servers"][0]["url"] == "/rec"
    routes = {
        (route.method.lower(), re.sub(r"\{([A-Za-z]+):[^}]*\}", r"{\1}", resource.canonical.removeprefix("/rec")))
        for resource in client.app.router.resources()
        for route in resource
        if route.method != "HEAD"
    }
    documented = {(method, path) for path, item in published["paths"].items() for method in item}
    # Whose last segment is an ID to one method and a name to another: both are there, at the same path.
    shared = {("delete", "/item/allIDs"), ("delete", "/user/allIDs")}
    assert routes - {("get", "")} == documented - shared
    assert shared < documented


def test_operations_have_names_of_their_own_and_described_tags():
    names = [found["operationId"] for _, _, found in EACH]
    assert len(set(names)) == len(names)
    assert {"recommendToMany", "recommendWithContext", "recommendWithContextAlone", "openapi"} <= set(names)
    assert [tag["name"] for tag in DOCUMENT["tags"]] == list(TAGS)
    assert {tag for _, _, found in EACH for tag in found["tags"]} == set(TAGS)


@NAMED
def test_an_operation_says_what_it_does_and_every_answer_has_an_example(path, method, found):
    assert found["summary"]
    for status, answer in found["responses"].items():
        answer = resolved(answer)
        assert answer["description"].strip(".")
        assert answer["headers"]["X-Request-Id"]["$ref"] == "#/components/headers/RequestId"
        if status[0] in "45":
            assert set(answer["content"]) == {"application/problem+json"}
            assert answer["content"]["application/problem+json"]["example"]["status"] == int(status)
        assert ("Retry-After" in answer["headers"]) == (status in {"429", "503"})


@NAMED
def test_what_stands_in_the_path_is_required_and_everything_else_is_not(path, method, found):
    parameters = [resolved(parameter) for parameter in found["parameters"]]
    assert {p["name"] for p in parameters if p["in"] == "path"} == set(re.findall(r"\{(\w+)\}", path))
    assert all(p.get("required", False) == (p["in"] == "path") for p in parameters)
    assert ("Idempotency-Key" in {p["name"] for p in parameters}) == (
        method in {"post", "delete"} and "Write" in found["tags"]
    )


def statuses(name, document=DOCUMENT):
    (found,) = [f for item in document["paths"].values() for f in item.values() if f["operationId"] == name]
    return {int(status) for status in found["responses"]}


def test_an_operation_documents_the_refusals_that_it_can_give_and_no_others():
    assert statuses("healthz") == {200, 500}
    assert statuses("ready") == {200, 500, 503}
    assert statuses("recommend") == {200, 400, 404, 406, 429, 500, 501, 503, 504}
    assert statuses("mostPopularItems") == {200, 400, 406, 429, 500, 501, 503, 504}
    assert statuses("deletePref") == {204, 400, 403, 429, 500, 503}
    assert statuses("forgetUser") == statuses("forgetItem") == {204, 400, 403, 429, 500, 501, 503}
    assert statuses("postPref") == {204, 400, 403, 408, 413, 415, 429, 500, 503}
    assert statuses("docs") == {200, 304, 500}


def test_a_read_only_service_documents_its_writes_as_refused():
    document = made(read_only=True)
    for declared in OPERATIONS:
        for path in paths_of(declared):
            found = set(document["paths"][path][declared.method.lower()]["responses"])
            assert (found == {"403", "500"}) == declared.writes


def test_the_default_format_stands_first():
    def first(document):
        return next(iter(document["paths"]["/recommend/{user}"]["get"]["responses"]["200"]["content"]))

    assert (first(DOCUMENT), first(made(default_format="csv"))) == ("application/json", "text/csv")


def test_defaults_are_those_of_the_handlers_signatures():
    found = {
        p["name"]: p["schema"].get("default")
        for p in DOCUMENT["paths"]["/recommend/{user}"]["get"]["parameters"]
        if "name" in p
    }
    assert (found["howMany"], found["offset"], found["considerKnownItems"]) == (10, 0, False)
    assert found["recall"] is None


def test_what_may_be_there_several_times_is_a_list():
    for declared in OPERATIONS:
        for parameter in declared.parameters():
            if parameter.place is Place.QUERY:
                (found,) = [
                    p
                    for p in DOCUMENT["paths"][declared.path][declared.method.lower()]["parameters"]
                    if p.get("name") == parameter.name
                ]
                assert (found["schema"]["type"] == "array") == parameter.repeated


async def test_head_is_answered_wherever_get_is(client):
    for declared in OPERATIONS:
        if declared.method != "GET":
            continue
        path = declared.path.format(user="ann", users="ann", item="a", items="a", toItem="a", file="console.js")
        head, get = await client.head(path), await client.get(path)
        assert head.status == get.status == 200, path
        assert await head.read() == b""
        assert head.content_type == get.content_type
        assert isinstance(await get.read(), bytes)
        assert (head.headers.keys() ^ get.headers.keys()) <= {"Content-Length", "Transfer-Encoding"}
