"""What is installed is what is in the tree."""

from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("oryx_py", "batch_layer", "speed_layer", "serving_layer")


def test_every_folder_of_modules_is_a_package() -> None:
    """A folder without `__init__.py` works in a checkout, and is left out of an installation."""
    folders = {module.parent for package in PACKAGES for module in (ROOT / package).rglob("*.py")}
    assert folders
    assert sorted(str(folder) for folder in folders if not (folder / "__init__.py").exists()) == []


def test_every_data_file_of_a_package_is_installed_with_it() -> None:
    """Patterns of `package_data` in setup.cfg cover whatever is not Python."""
    settings = ConfigParser()
    settings.read(ROOT / "setup.cfg", "utf-8")
    patterns = settings["options.package_data"]["*"].split(", ")
    others = [
        path
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc", ".nbi", ".nbc"}
    ]
    assert others
    assert [str(path) for path in others if not any(path.match(pattern) for pattern in patterns)] == []
