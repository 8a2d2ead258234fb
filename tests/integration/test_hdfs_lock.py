"""The lock of a run in HDFS: as on a folder, and taken over from a holder that is gone."""

import threading
import uuid

import pytest

from batch_layer.locking.file_lease import FileLease
from batch_layer.locking.run_lock import Holder
from oryx_py.adapters.file_systems.webhdfs_client import WebHdfs
from oryx_py.adapters.file_systems.webhdfs_files import WebHdfsFiles
from oryx_py.local.hdfs import EmbeddedHdfs
from tests.support.ticking import Ticking

pytestmark = [pytest.mark.hdfs, pytest.mark.xdist_group("hdfs")]

HOLDERS = [Holder(f"machine {n}", n, 0) for n in range(4)]


def test_one_of_many_machines_holds_it_and_the_next_takes_over_when_that_is_gone(hdfs: EmbeddedHdfs) -> None:
    folder = f"/tests/{uuid.uuid4()}/lease"
    clocks = [Ticking() for _ in HOLDERS]
    files = [WebHdfsFiles(WebHdfs(hdfs.namenode.webhdfs_url), f"hdfs://x{folder}", folder) for _ in HOLDERS]
    leases = [FileLease(place, clock, beat_s=3600.0) for place, clock in zip(files, clocks, strict=True)]
    told: list[Holder | None] = [None] * len(HOLDERS)

    def attempt(n: int) -> None:
        told[n] = leases[n].attempt(HOLDERS[n])

    threads = [threading.Thread(target=attempt, args=(n,)) for n in range(len(HOLDERS))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winner = told.index(None)
    others = [n for n in range(len(HOLDERS)) if n != winner]
    assert all(leases[n].attempt(HOLDERS[n]) == HOLDERS[winner] for n in others)
    leases[winner].release()
    assert leases[others[0]].attempt(HOLDERS[others[0]]) is None
    assert leases[others[1]].attempt(HOLDERS[others[1]]) == HOLDERS[others[0]]
    for _ in range(2):
        clocks[others[1]].sleep(20)
        assert leases[others[1]].attempt(HOLDERS[others[1]]) == HOLDERS[others[0]]
    clocks[others[1]].sleep(20)
    assert leases[others[1]].attempt(HOLDERS[others[1]]) is None
    assert leases[winner].attempt(HOLDERS[winner]) == HOLDERS[others[1]]
    for lease in leases:
        lease.release()
