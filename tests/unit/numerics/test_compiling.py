"""numba keeps what it compiled by the text of one file; what comes from others is in the name that it is kept under."""

import importlib
import sys
from pathlib import Path

import pytest

from oryx_py.numerics import murmur2
from oryx_py.numerics.als.kernel import improve_rows
from oryx_py.numerics.compiled import compiling
from oryx_py.numerics.recursive import building


def test_another_files_text_is_in_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts, users = tmp_path / "kernel_parts.py", tmp_path / "kernel_users.py"
    parts.write_text(
        "from oryx_py.numerics.compiled.compiling import part\nSIZE = 3\n\n@part\ndef inner(x):\n    return x + SIZE\n"
    )
    users.write_text("from kernel_parts import inner\n\ndef outer(x):\n    return inner(x)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        outer = importlib.import_module("kernel_users").outer
        before = compiling._from_elsewhere(outer)
        assert before
        assert compiling._from_elsewhere(outer) == before
        parts.write_text(parts.read_text() + "\n# changed\n")
        assert compiling._from_elsewhere(outer) != before
    finally:
        sys.modules.pop("kernel_users", None)
        sys.modules.pop("kernel_parts", None)


def test_an_intrinsics_text_is_in_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = improve_rows.py_func  # type: ignore[attr-defined]
    before = compiling._from_elsewhere(kernel)
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda file: read(file) + b"#" * (file.name == "prefetching.py"))
    assert compiling._from_elsewhere(kernel) != before


def test_a_kernel_of_one_file_keeps_its_name() -> None:
    assert murmur2.partitions_of.py_func.__qualname__ == "partitions_of"  # type: ignore[attr-defined]
    assert building.build.py_func.__qualname__.startswith("build-")  # type: ignore[attr-defined]
