"""Places by URI: what each can hold, and what is missing, in one line."""

from pathlib import Path

import pytest

from oryx_py.adapters.file_systems.local_files import LocalFiles
from oryx_py.adapters.generation_stores.local_store import LocalStore
from oryx_py.adapters.generation_stores.remote_store import RemoteStore
from oryx_py.adapters.places import Reach, history_log, open_files, open_registry, open_store, reach_of
from oryx_py.config import load
from oryx_py.errors import ConfigError


def test_a_folder_is_a_path_or_a_file_uri(tmp_path: Path) -> None:
    for uri in (str(tmp_path), tmp_path.as_uri(), "file://localhost" + str(tmp_path)):
        assert isinstance(open_store(uri), LocalStore)
        assert open_files(uri, "history.uri").uri() == tmp_path.resolve().as_uri()
        assert open_registry(uri).read().number == history_log(uri).read().number == 0


def test_hdfs_needs_the_address_of_its_webhdfs(tmp_path: Path) -> None:
    reach = Reach(webhdfs_url="http://me@nn:9870", cache_dir=tmp_path)
    assert open_store("hdfs://nn:8020/oryx/", reach).uri("g") == "hdfs://nn:8020/oryx/generations/g"
    assert open_files("webhdfs://me@nn:9870/oryx", "history.uri").uri("data") == "webhdfs://nn:9870/oryx/data"
    with pytest.raises(ConfigError, match=r"history\.uri = 'hdfs://nn:8020/x': set hdfs\.webhdfs_url"):
        history_log("hdfs://nn:8020/x")


@pytest.mark.parametrize("uri", ["hdfs://nn:8020", "hdfs://nn:8020/", "hdfs://nn/a%20b", "hdfs://nn/a b", "hdfs://n/*"])
def test_hdfs_needs_a_plain_folder(uri: str) -> None:
    with pytest.raises(ConfigError, match="name a folder in HDFS by a plain path"):
        open_files(uri, "store.uri", Reach(webhdfs_url="http://nn:9870"))


def test_an_object_store_takes_generations_only(tmp_path: Path) -> None:
    """The history and the registry are said to belong elsewhere."""
    assert isinstance(open_store("memory://oryx", Reach(cache_dir=tmp_path)), RemoteStore)
    with pytest.raises(ConfigError, match=r"history\.uri = 'memory://oryx': .*generations only: set history\.uri"):
        history_log("memory://oryx")
    with pytest.raises(ConfigError, match=r"takes generations only.*set store\.registry_uri"):
        open_registry("memory://oryx")
    with pytest.raises(ConfigError, match=r"set store\.cache_dir"):
        open_store("memory://oryx")


def test_settings_say_where_the_registry_and_the_copies_are(tmp_path: Path) -> None:
    environ = {"ORYX__LOCAL__DIR": str(tmp_path), "ORYX__STORE__URI": "s3://bucket/oryx"}
    settings = load(None, environ).settings
    assert settings.registry_uri == "s3://bucket/oryx"
    assert reach_of(settings).cache_dir == tmp_path / "cache"
    settings = load(None, {**environ, "ORYX__STORE__REGISTRY_URI": str(tmp_path / "r")}).settings
    assert settings.registry_uri == str(tmp_path / "r")
    assert isinstance(open_files(settings.registry_uri, "store.registry_uri"), LocalFiles)
