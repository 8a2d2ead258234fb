"""The console and the documentation: whole, from here alone, and safe with whatever an ID contains."""

import gzip
import re
from html.parser import HTMLParser
from importlib import resources

import brotli
import pytest
import zstandard

from serving_layer.handlers.operations import OPERATIONS
from serving_layer.openapi.document import paths_of
from serving_layer.pages.files import FILES, file
from tests.support.serving import FixedModels, Harness

PLAIN = {"Accept-Encoding": "identity"}


def source(name: str) -> str:
    return (resources.files("serving_layer.pages") / name).read_text()


class Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data):
        if self.found[-1:] and self.found[-1][0] in {"script", "style"}:
            self.inline.append(data.strip())

    def values(self, name: str) -> list[str]:
        return [attributes[name] for _, attributes in self.found if attributes.get(name)]


@pytest.fixture(params=["/", "/deep/down"])
async def site(request):
    """A service under a context path; how to get from there."""
    async with Harness(FixedModels(), context_path=request.param) as client:
        root = request.param.rstrip("/")
        yield lambda path, **headers: client.get(root + path, headers=PLAIN | headers)


@pytest.mark.parametrize("page", ["/", "/docs"])
async def test_a_page_finds_all_its_files_under_any_context_path(site, page):
    response = await site(page)
    assert (response.status, response.content_type) == (200, "text/html")
    found = Elements(await response.text())
    base = next(attributes["href"] for tag, attributes in found.found if tag == "base")
    assert response.url.path in {base, base + "docs"}
    files = [value for name in ("src", "href") for value in found.values(name) if value.startswith("assets/")]
    assert {path.partition("?")[0].rpartition(".")[2] for path in files} == {"css", "js", "svg"}
    for path in files:
        asset = await site("/" + path)
        assert asset.status == 200
        assert asset.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert f'W/"{path.rpartition("=")[2]}"' == asset.headers["ETag"]
    for path in set(found.values("href")) - set(files) - {base}:
        assert (await site("/" + path.removeprefix("./"))).status in {200, 503}, path


async def test_the_console_is_at_the_context_path_without_a_slash_too():
    async with Harness(FixedModels(), context_path="/deep") as client:
        assert (await client.get("/deep")).status == 200


@pytest.mark.parametrize("page", ["/", "/docs"])
async def test_a_page_runs_nothing_but_this_services_files(site, page):
    response = await site(page)
    policy = dict(part.split(" ", 1) for part in response.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    found = Elements(await response.text())
    assert not any(found.inline)
    assert not [
        name for _, attributes in found.found for name in attributes if name.startswith("on") or name == "style"
    ]
    assert not [value for name in ("src", "href") for value in found.values(name) if "//" in value]


@pytest.mark.parametrize("name", [name for name, package in FILES.items() if package == "serving_layer.pages"])
def test_our_files_name_no_other_address(name):
    addresses = set(re.findall(r"\w+:?//[^\s\"')]+", file(name).body.decode()))
    assert addresses <= {"http://www.w3.org/2000/svg"}


async def test_a_client_that_has_a_page_is_told_so(site):
    for path in ("/", "/docs", "/openapi.json", "/assets/console.js"):
        tag = (await site(path)).headers["ETag"]
        response = await site(path, **{"If-None-Match": f'"other", {tag}'})
        assert (response.status, await response.read()) == (304, b"")
        assert (await site(path, **{"If-None-Match": '"other"'})).status == 200


async def test_files_come_compressed_to_those_who_take_it():
    async with Harness(FixedModels()) as client:
        for path in ("/", "/openapi.json", "/assets/swagger_bundle.js"):
            whole = await (await client.get(path, headers=PLAIN)).read()
            for coding, unpack in (
                ("gzip", gzip.decompress),
                ("br", brotli.decompress),
                ("zstd", zstandard.ZstdDecompressor().decompress),
            ):
                async with client.session.get(
                    client.make_url(path), headers={"Accept-Encoding": coding}, auto_decompress=False
                ) as response:
                    assert response.headers["Content-Encoding"] == coding
                    assert unpack(await response.read()) == whole


@pytest.mark.parametrize("name", ["nothing.js", "files.py", "../files.py", "..%2Ffiles.py", "console.html", "", "%00"])
async def test_nothing_but_the_listed_files_is_served(client, name):
    response = await client.get(f"/assets/{name}", allow_redirects=False)
    assert response.status == 404


def test_the_console_asks_for_nothing_but_what_there_is():
    script = source("console.js")
    asked = re.findall(r'^  (\w+): \["([A-Z]+)", "([^"]+)"\],$', script, re.MULTILINE)
    there = {(declared.method, path) for declared in OPERATIONS for path in paths_of(declared)}
    assert len(asked) == 9
    assert {(method, path) for _, method, path in asked} <= there
    used = set(re.findall(r'ask\("(\w+)"|write\("(\w+)"', script))
    assert {ask or write for ask, write in used} == {name for name, _, _ in asked}
    assert script.count("fetch(") == 1
    queried = set(re.findall(r"query: \{ ([^}]+) \}", script))
    names = {name.partition(":")[0].strip() for names in queried for name in names.split(",")}
    assert names == {"howMany", "after"}


def test_what_the_console_shows_is_text():
    script = source("console.js")
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|createContextual", script
    )
    assert "encodeURIComponent" in script


def test_the_consoles_script_and_page_agree_on_their_elements():
    found = Elements(source("console.html"))
    script = source("console.js")
    wanted = set(re.findall(r'\bat\("([\w-]+)"\)', script)) | {
        f"{p}-message" for p in re.findall(r'inPlace\("(\w+)"', script)
    }
    ids = found.values("id")
    assert wanted <= set(ids)
    assert len(ids) == len(set(ids))
    labelled = {attributes["for"] for tag, attributes in found.found if tag == "label"}
    assert labelled == {attributes["id"] for tag, attributes in found.found if tag == "input"}


@pytest.mark.parametrize(("read_only", "writes"), [(True, "no"), (False, "yes")])
async def test_a_read_only_services_console_offers_no_writing(read_only, writes):
    async with Harness(FixedModels(), read_only=read_only) as client:
        assert f'data-writes="{writes}"' in await (await client.get("/")).text()
    assert '[data-writes="no"] .writes { display: none; }' in source("console.css")
