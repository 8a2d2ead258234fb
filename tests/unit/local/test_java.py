"""Which Java is found, and what is said when there is none."""

from pathlib import Path

import pytest

from oryx_py.errors import MissingDependency
from oryx_py.local import java


def make_java(folder: Path, version: str) -> Path:
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"""#!/bin/sh\necho 'openjdk version "{version}" 2025-04-15' >&2\n""")
    program.chmod(0o755)
    return program


@pytest.fixture(autouse=True)
def no_usual_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "_FOLDERS", ())


@pytest.mark.parametrize(
    ("text", "version", "major"),
    [
        ('openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime', "17.0.15", 17),
        ('openjdk version "25" 2025-09-16', "25", 25),
        ('java version "1.8.0_402"', "1.8.0_402", 8),
        ('Picked up JAVA_TOOL_OPTIONS: -Dx=1\nopenjdk version "21-ea" 2023', "21-ea", 21),
    ],
)
def test_versions_of_old_and_new_style_are_understood(text: str, version: str, major: int) -> None:
    assert java.parse_version(text) == version
    assert java.major_of(version) == major


def test_java_home_comes_before_the_path(tmp_path: Path) -> None:
    chosen = make_java(tmp_path / "home", "21.0.1")
    other = make_java(tmp_path / "other", "17.0.1")
    found = java.find_java({"JAVA_HOME": str(tmp_path / "home"), "PATH": f"{other.parent}:/bin"})
    assert (found.path, found.major, found.home) == (chosen, 21, tmp_path / "home")


def test_an_old_or_broken_java_home_is_passed_over(tmp_path: Path) -> None:
    make_java(tmp_path / "old", "11.0.22")
    good = make_java(tmp_path / "good", "17.0.1")
    for home in (tmp_path / "old", tmp_path / "nowhere"):
        assert java.find_java({"JAVA_HOME": str(home), "PATH": f"{good.parent}:/bin"}).path == good


def test_the_usual_folders_are_searched_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = make_java(tmp_path / "jvm" / "jdk-17", "17.0.1")
    make_java(tmp_path / "jvm" / "jdk-11", "11.0.1")
    monkeypatch.setattr(java, "_FOLDERS", (str(tmp_path / "jvm"),))
    assert java.find_java({"PATH": "/nowhere"}).path == good


def test_without_java_one_line_says_how_to_install_it(tmp_path: Path) -> None:
    manager = tmp_path / "dnf"
    manager.touch(mode=0o755)
    with pytest.raises(MissingDependency, match=r"found none: run `sudo dnf install \S+`$") as error:
        java.find_java({"PATH": str(tmp_path)})
    assert "\n" not in str(error.value)


def test_a_java_that_is_too_old_is_named(tmp_path: Path) -> None:
    old = make_java(tmp_path, "11.0.22")
    with pytest.raises(MissingDependency, match=r"found only Java 11\.0\.22 \(.*\): install a JDK 17"):
        java.find_java({"PATH": str(old.parent)})


def test_a_program_that_fails_is_no_java(tmp_path: Path) -> None:
    program = tmp_path / "java"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    assert java.probe(program) is None
    assert java.probe(tmp_path / "missing") is None
