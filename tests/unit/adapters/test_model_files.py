"""Models are opened where they are: in a folder, or in HDFS."""

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from oryx_py.adapters.generation_stores.oryx2_files import LocalFolder, model_opener
from oryx_py.errors import BadMessage, ConfigError, MissingDependency, StoreUnavailable
from oryx_py.oryx2.parts import read_rows
from oryx_py.oryx2.pmml import read_pmml
from tests.support.oryx2 import parts, pmml, write_model

USERS, ITEMS = {"u": [1.0, 2.0], "v": [3.0, 4.0]}, {"i": [5.0, 6.0]}


def vectors(folder, path):
    return {name: vector.tolist() for name, vector in read_rows(folder, path, 2, 100)}


@pytest.mark.parametrize("form", ["{}", "file:{}", "file://{}", "file://localhost{}"])
def test_a_model_in_a_folder_is_opened_however_it_is_named(tmp_path, form):
    path = write_model(tmp_path / "a b", USERS, ITEMS)
    text = str(path) if form == "{}" else str(path).replace(" ", "%20")
    document, folder = model_opener("")(form.format(text))
    assert read_pmml(document).user_ids == ["u", "v"]
    assert vectors(folder, "X/") == USERS
    assert vectors(folder, f"{folder.root}/Y/") == ITEMS


@pytest.mark.parametrize(
    ("uri", "error", "reason"),
    [
        ("", BadMessage, "names no file by an absolute path"),
        ("model.pmml", BadMessage, "names no file by an absolute path"),
        ("/a/\0", BadMessage, "names no file by an absolute path"),
        ("/a/", BadMessage, "names no file by an absolute path"),
        ("/" + "a" * 5000, BadMessage, "names no file by an absolute path"),
        ("http://[1/x", BadMessage, "names no file by an absolute path"),
        ("http://127.0.0.1:1/x", BadMessage, "only file and hdfs can be read"),
        ("//host/x", BadMessage, "only file and hdfs can be read"),
        ("/nowhere/model.pmml", StoreUnavailable, "No such file"),
        ("/dev/zero", BadMessage, "is no file"),
        ("hdfs://nn:8020/x", ConfigError, "set hdfs.webhdfs_url"),
    ],
)
def test_what_cannot_be_opened_is_refused_in_one_line(uri, error, reason):
    with pytest.raises(error, match=reason) as refused:
        model_opener("")(uri)
    assert "\n" not in str(refused.value)


def test_links_are_followed_only_within_the_folder(tmp_path):
    (tmp_path / "m" / "Y").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(b"")
    (tmp_path / "m" / "Z").symlink_to("Y")
    (tmp_path / "m" / "Y" / "part-0").symlink_to(tmp_path / "secret")
    (tmp_path / "m" / "W").symlink_to(tmp_path)
    folder = LocalFolder(tmp_path / "m")
    assert folder.names("Z") == ["part-0"]
    for escape in (lambda: folder.open("Z/part-0"), lambda: folder.names("W"), lambda: folder.open("../secret")):
        with pytest.raises(BadMessage, match="leads out of the model's folder"):
            escape()


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "hdfs", None)
    with pytest.raises(MissingDependency, match=r"pip install 'oryx-py\[hdfs\]'"):
        model_opener("http://127.0.0.1:1")("hdfs://nn/x")


FILES = {
    "/m/1/model.pmml": pmml(USERS, ITEMS).encode(),
    **{f"/m/1/X/{name}": content for name, content in parts(USERS).items()},
    **{f"/m/1/Y/{name}": content for name, content in parts(ITEMS).items()},
    "/m/2/model.pmml": pmml(USERS, ITEMS).encode(),
    "/m/2/X/part-0.gz": gzip.compress(b'["u",[1,2]]\n' * 10_000),
}


class _WebHdfs(BaseHTTPRequestHandler):
    """Answers as the REST documentation of WebHDFS says."""

    def do_GET(self):
        url = urlsplit(self.path)
        path, query = url.path.removeprefix("/webhdfs/v1"), parse_qs(url.query)
        self.server.seen.append(query.get("user.name", ["?"])[0])
        below = sorted({name.removeprefix(f"{path}/").split("/")[0] for name in FILES if name.startswith(f"{path}/")})
        if query["op"] == ["OPEN"] and path in FILES:
            self._answer(200, FILES[path], cut=path.startswith("/m/2/X"))
        elif query["op"] == ["LISTSTATUS"] and below:
            statuses = [{"pathSuffix": name, "type": "FILE"} for name in below]
            self._answer(200, json.dumps({"FileStatuses": {"FileStatus": statuses}}).encode())
        else:
            gone = {"exception": "FileNotFoundException", "message": f"File does not exist: {path}\nat x.y.z"}
            self._answer(404, json.dumps({"RemoteException": gone}).encode())

    def _answer(self, status, body, *, cut=False):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)

    def log_message(self, *_):
        pass


class _Server(ThreadingHTTPServer):
    """Knows as whom it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _WebHdfs)
        self.seen: list[str] = []


@pytest.fixture
def hdfs_server() -> Iterator[_Server]:
    server = _Server()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def webhdfs(hdfs_server) -> str:
    return f"127.0.0.1:{hdfs_server.server_port}"


@pytest.mark.parametrize(
    "uri", ["hdfs://nn:8020/m/1/model.pmml", "hdfs:/m/1/model.pmml", "hdfs:///m/1/../1/model.pmml"]
)
def test_a_model_in_hdfs_is_opened_by_webhdfs(webhdfs, hdfs_server, uri):
    document, folder = model_opener(f"http://somebody@{webhdfs}/")(uri)
    assert read_pmml(document).item_ids == ["i"]
    assert vectors(folder, "X/") == USERS
    assert vectors(folder, "/m/1/Y/") == ITEMS
    assert set(hdfs_server.seen) == {"somebody"}


def test_what_hdfs_does_not_have_is_said_in_one_line(webhdfs):
    open_model = model_opener(f"http://{webhdfs}")
    with pytest.raises(StoreUnavailable, match=r"hdfs:/m/9/model.pmml: .*does not exist") as refused:
        open_model("hdfs://nn/m/9/model.pmml")
    assert "\n" not in str(refused.value)
    _, folder = open_model("hdfs://nn/m/2/model.pmml")
    with pytest.raises(StoreUnavailable, match="does not exist"):
        vectors(folder, "Y")


def test_a_file_that_ends_early_is_refused(webhdfs):
    _, folder = model_opener(f"http://{webhdfs}")("hdfs://nn/m/2/model.pmml")
    with pytest.raises((BadMessage, StoreUnavailable)):
        vectors(folder, "X")


def test_a_namenode_that_is_away_is_an_error_that_passes():
    with pytest.raises(StoreUnavailable, match=r"hdfs:/m/1/model.pmml"):
        model_opener("http://127.0.0.1:1")("hdfs://nn/m/1/model.pmml")
