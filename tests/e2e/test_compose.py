"""`docker compose up` on a real engine: healthy, reachable from outside, and nothing lost by a down and an up."""

import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oryx_py.local.ports import choose
from tests.support.system import eventually

ROOT = Path(__file__).parents[2]
CONTEXT = ["LICENSE", "README.md", "batch_layer", "deploy", "docker-compose.yml", ".dockerignore", "oryx_py"]
CONTEXT += ["pyproject.toml", "requirements.lock", "serving_layer", "setup.cfg", "speed_layer"]
OWN_CERTIFICATES = Path("/usr/local/share/ca-certificates")
"""Where Debian keeps what this machine trusts besides the public certificates: the build must trust it too."""
SERVICES = {"kafka", "namenode", "datanode", "batch", "speed", "serving"}


def engine_answers() -> bool:
    """Say whether `docker compose` has an engine to talk to."""
    try:
        return all(
            subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0
            for command in (["docker", "info"], ["docker", "compose", "version"])
        )
    except (OSError, subprocess.TimeoutExpired):
        return False


pytestmark = [
    pytest.mark.docker,
    pytest.mark.xdist_group("compose"),
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not engine_answers(), reason="no Docker engine with compose answers here"),
]


class Compose:
    """A project of its own: containers, network, volumes, port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = choose(())
        self.environment = {
            **os.environ,
            "COMPOSE_PROJECT_NAME": f"oryx-test-{os.getpid()}",
            "DOCKER_BUILDKIT": "0",
            "ORYX_BATCH_INTERVAL_S": "5",
            "ORYX_PORT": str(self.port),
        }

    def __call__(self, *arguments: str, timeout_s: float = 300) -> str:
        done = subprocess.run(
            ["docker", "compose", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def up(self) -> None:
        """Start everything, and wait until every service says that it is healthy."""
        self("up", "--detach", "--no-build")
        eventually(lambda: self.healthy() == SERVICES, 300, lambda: self("ps", "--all") + self("logs", "--tail", "20"))

    def healthy(self) -> set[str]:
        rows = [json.loads(line) for line in self("ps", "--format", "json").splitlines() if line]
        return {row["Service"] for row in rows if row["Health"] == "healthy"}

    def ask(self, method: str, path: str, body: str | None = None) -> tuple[int, dict[str, str], Any]:
        data = None if body is None else body.encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, method=method)
        request.add_header("Content-Type", "text/csv")
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                raw = response.read()
                return response.status, dict(response.headers), json.loads(raw) if raw else None
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), None


@pytest.fixture(scope="module")
def compose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """The image built from the tree as it is, and everything removed in the end."""
    folder = tmp_path_factory.mktemp("compose")
    for name in CONTEXT:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    for certificate in OWN_CERTIFICATES.glob("*.crt"):
        shutil.copy(certificate, folder / "deploy" / "docker" / "certificates")
    project = Compose(folder)
    try:
        project("build", timeout_s=1500)
        yield project
    finally:
        project("down", "--volumes", "--timeout", "20")


def test_everything_is_healthy_learns_from_outside_and_survives_a_down_and_an_up(compose: Compose) -> None:
    compose.up()
    history = [f"u{user},i{item},{1 + item % 3}" for user in range(40) for item in range(user % 5, 30, 3)]
    assert compose.ask("POST", "/ingest", "\n".join(history))[0] == 204
    eventually(lambda: compose.ask("GET", "/ready")[0] == 200, 300, lambda: compose("logs", "--tail", "40"))
    assert compose.ask("GET", "/recommend/visitor")[0] == 404
    offset = ""
    for item in ("i1", "i4", "a/b"):
        path = "/pref/visitor/" + item.replace("/", "%2F")
        status, headers, _ = compose.ask("POST", path, "1")
        assert status == 204
        offset = headers["X-Oryx-Offset"]
    path = f"/recommend/visitor?howMany=5&after={offset}"
    # The first epoch is served as soon as it is loaded, which may be before the speed layer has it.
    eventually(lambda: compose.ask("GET", path)[0] == 200, 60)
    before = compose.ask("GET", path)[2]
    assert len(before) == 5

    names = compose("exec", "-T", "namenode", "oryx", "generations")
    assert "published" in names  # in HDFS: this service has no other way to know it

    compose("down", "--timeout", "30")
    compose.up()
    eventually(lambda: compose.ask("GET", "/ready")[0] == 200, 300, lambda: compose("logs", "--tail", "40"))
    status, _, known = compose.ask("GET", f"/knownItems/visitor?after={offset}")
    assert status == 200
    assert sorted(known) == ["a/b", "i1", "i4"]
    assert len(compose.ask("GET", "/knownItems/u0")[2]) == 10
    status, headers, _ = compose.ask("POST", "/pref/visitor/i7", "1")
    assert status == 204
    _, _, after = compose.ask("GET", f"/recommend/visitor?howMany=5&after={headers['X-Oryx-Offset']}")
    assert "i7" not in {row["id"] for row in after}
    assert after != before
