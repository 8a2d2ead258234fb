"""Counts, bytes and times are read and shown as people write them."""

import pytest

from oryx_py.errors import UserError
from oryx_py.planning.quantities import bytes_of, count_of, show_bytes, show_count, show_seconds


@pytest.mark.parametrize(
    ("text", "count"),
    [
        *(("2000", 2000), ("2_000", 2000), ("2,000", 2000), ("1e6", 10**6), ("10M", 10**7), ("1.5k", 1500)),
        *(("1B", 10**9), ("1G", 10**9), (" 3 T ", 3 * 10**12), ("0.5K", 500)),
    ],
)
def test_counts(text: str, count: int) -> None:
    assert count_of(text) == count


@pytest.mark.parametrize(
    ("text", "size"),
    [("24G", 24 << 30), ("512 MiB", 512 << 20), ("1.5TB", 3 << 39), ("4096", 4096), ("100B", 100), ("2 kib", 2048)],
)
def test_bytes(text: str, size: int) -> None:
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "M", "-5", "1X", "ten", "0", "0.2", "1e30", "1 000 0 0x", "nan", "inf", "١٠M1"])
def test_what_is_no_count_is_refused_with_the_option_and_an_example(text: str) -> None:
    with pytest.raises(UserError, match=r"--users is .*: give a count like .*1\.5M"):
        count_of(text, "--users")


@pytest.mark.parametrize("text", ["24X", "G", "0", "1 PiBs"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="give a size like 512M"):
        bytes_of(text)


@pytest.mark.parametrize("count", [1, 999, 9_999, 10_000, 810_000, 1_500_000, 10**9, 2 * 10**12])
def test_counts_are_shown_as_they_are_read(count: int) -> None:
    assert count_of(show_count(count)) == count


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1536, "1.5 KiB"),
        (24 << 30, "24.0 GiB"),
        (500 << 30, "500 GiB"),
        (3 << 50, "3072 TiB"),
    ],
)
def test_sizes_shown(size: int, shown: str) -> None:
    assert show_bytes(size) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.01, "< 0.1 s"),
        (4.21, "4.2 s"),
        (59.2, "1 min 0 s"),
        (200, "3 min 20 s"),
        (3599.5, "1 h 0 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_times_shown(seconds: float, shown: str) -> None:
    assert show_seconds(seconds) == shown
