"""What an Oryx 2 batch layer writes: PMML, parts, messages; in its shape, from nothing of ours."""

import gzip
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO
from xml.sax.saxutils import escape, quoteattr

from oryx_py.errors import StoreUnavailable

Vectors = Mapping[str, Sequence[float]]


def id_list(ids: Iterable[str]) -> str:
    """Join as ``TextUtils.joinPMMLDelimited`` does: quoted where it must be, ``\\"`` inside."""
    return " ".join(
        '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' if set(name) & set(' "\\') else name for name in ids
    )


def pmml(users: Iterable[str], items: Iterable[str], features: int = 2, **extensions: object) -> str:
    """Write the document that ``ALSUpdate.mfModelToPMML`` does."""
    values = {
        "X": "X/",
        "Y": "Y/",
        "features": features,
        "lambda": 0.1,
        "implicit": "true",
        "alpha": 2.0,
        "logStrength": "false",
        **extensions,
    }
    head = "".join(f"<Extension name={quoteattr(k)} value={quoteattr(str(v))}/>" for k, v in values.items())
    lists = "".join(
        f'<Extension name="{name}">{escape(id_list(ids))}</Extension>'
        for name, ids in (("XIDs", list(users)), ("YIDs", list(items)))
        if ids
    )
    return (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
        '<PMML xmlns="http://www.dmg.org/PMML-4_4" version="4.4">'
        '<Header><Application name="Oryx"/><Timestamp>2026-07-31T14:25:30+0000</Timestamp></Header>'
        f"{head}{lists}</PMML>"
    )


def parts(vectors: Vectors, count: int = 2) -> dict[str, bytes]:
    """Write the files of one side as Spark saves them, with what it leaves beside them."""
    lines = [json.dumps([name, list(vector)], ensure_ascii=False) + "\n" for name, vector in vectors.items()]
    files = {f"part-{n:05}.gz": gzip.compress("".join(lines[n::count]).encode()) for n in range(count)}
    return {**files, "_SUCCESS": b"", ".part-00000.gz.crc": b"crc\0"}


def write_model(folder: Path, users: Vectors, items: Vectors, features: int = 2, **extensions: object) -> Path:
    """Write a whole model below ``folder``; returns where its ``model.pmml`` is."""
    for name, side in (("X", users), ("Y", items)):
        (folder / name).mkdir(parents=True)
        for file, content in parts(side).items():
            (folder / name / file).write_bytes(content)
    (folder / "model.pmml").write_text(pmml(users, items, features, **extensions), "utf-8")
    return folder / "model.pmml"


def up(side: str, name: str, vector: Sequence[float], known: Sequence[str] | None = None) -> bytes:
    """Write an ``UP`` as ``EnqueueFeatureVecs…Fn`` does."""
    return json.dumps([side, name, list(vector), *([list(known)] if known else [])], ensure_ascii=False).encode()


class MemoryFolder:
    """A model's folder in memory."""

    def __init__(self, files: Mapping[str, bytes], root: str = "/models/1") -> None:
        self.files = dict(files)
        self.root = root

    def names(self, path: str) -> list[str]:
        found = sorted(name.removeprefix(f"{path}/") for name in self.files if name.startswith(f"{path}/"))
        if not found:
            raise StoreUnavailable(f"there is no {path}")
        return found

    def open(self, path: str) -> IO[bytes]:
        return io.BytesIO(self.files[path])
