"""The folder of one machine's HDFS: settings that Hadoop reads, ports that stay, data that are never formatted away."""

import socket
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from oryx_py.errors import MissingDependency, StoreUnavailable, UserError
from oryx_py.local import hdfs, jars
from oryx_py.local.hdfs_home import DATANODE, NAMENODE, HdfsHome, read_hdfs


def told(home: HdfsHome, name: str) -> dict[str, str]:
    rows = ET.parse(home.conf / name).getroot().iter("property")
    return {row.findtext("name", ""): row.findtext("value", "") for row in rows}


def test_the_namenode_is_for_this_machine_alone(tmp_path: Path) -> None:
    home = HdfsHome(tmp_path / "a & b", NAMENODE)
    home.prepare()
    chosen = home.configure_namenode(0, 0)
    site = told(home, "hdfs-site.xml")
    assert told(home, "core-site.xml")["fs.defaultFS"] == f"hdfs://127.0.0.1:{chosen.rpc}"
    assert site["dfs.namenode.http-address"] == f"127.0.0.1:{chosen.http}"
    assert site["dfs.namenode.name.dir"] == home.data.as_uri()
    assert not [name for name in site if "bind-host" in name]


def test_another_host_listens_on_every_address(tmp_path: Path) -> None:
    home = HdfsHome(tmp_path, NAMENODE, "namenode")
    home.prepare()
    chosen = home.configure_namenode(0, 0)
    site = told(home, "hdfs-site.xml")
    assert told(home, "core-site.xml")["fs.defaultFS"] == f"hdfs://namenode:{chosen.rpc}"
    assert {site["dfs.namenode.rpc-bind-host"], site["dfs.namenode.http-bind-host"]} == {"0.0.0.0"}
    blocks = HdfsHome(tmp_path, DATANODE, "datanode")
    blocks.prepare()
    blocks.configure_datanode("namenode:8020")
    site = told(blocks, "hdfs-site.xml")
    assert told(blocks, "core-site.xml")["fs.defaultFS"] == "hdfs://namenode:8020"
    assert site["dfs.datanode.hostname"] == "datanode"
    assert site["dfs.datanode.address"].startswith("0.0.0.0:")


def test_ports_are_kept_and_another_is_found_where_one_is_taken(tmp_path: Path) -> None:
    home = HdfsHome(tmp_path, NAMENODE)
    home.prepare()
    first = home.configure_namenode(0, 0)
    assert home.configure_namenode(0, 0) == first
    with socket.create_server(("127.0.0.1", first.rpc)):
        second = home.configure_namenode(0, 0)
    assert second.rpc != first.rpc
    assert second.http == first.http
    assert home.configure_namenode(0, 0) == second
    blocks = HdfsHome(tmp_path, DATANODE)
    blocks.prepare()
    blocks.configure_datanode("127.0.0.1:1")
    before = told(blocks, "hdfs-site.xml")
    blocks.configure_datanode("127.0.0.1:2")
    assert told(blocks, "hdfs-site.xml") == before


def test_names_without_their_version_are_not_formatted_away(tmp_path: Path) -> None:
    server = hdfs.NameNode(tmp_path, 0, 0)
    server.home.prepare()
    (server.home.data / "current").mkdir(parents=True)
    (server.home.data / "current" / "edits_1").write_bytes(b"names")
    with pytest.raises(UserError, match="restore it or move it away"):
        server._format(["false"], 1)
    assert (server.home.data / "current" / "edits_1").read_bytes() == b"names"


def test_a_format_that_fails_leaves_nothing(tmp_path: Path) -> None:
    server = hdfs.NameNode(tmp_path, 0, 0)
    server.home.prepare()
    with pytest.raises(StoreUnavailable, match="could not be formatted"):
        server._format(["false"], 5)
    assert not server.home.data.exists()


def test_a_datanode_without_a_namenode_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="no NameNode runs in"):
        hdfs.DataNode(tmp_path)._configure()
    assert read_hdfs(tmp_path) is None


def test_the_jar_is_that_of_pysparks_hadoop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another PySpark is refused in one line, before anything is fetched."""
    (jar,) = jars.read_lock(jars.HDFS)
    assert jar.coordinates.file_name == f"hadoop-client-minicluster-{jars.version_of(jars.HDFS, [jar])}.jar"
    monkeypatch.setattr(hdfs.ivy, "find_ivy", lambda: tmp_path / "ivy-2.jar")
    with pytest.raises(MissingDependency, match=r"and .* has another: install the PySpark of requirements\.lock"):
        hdfs._classpath(None, tmp_path, None, None)
