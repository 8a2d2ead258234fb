"""What the commands print, on a terminal and into a pipe: the same facts, with and without colour and motion."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["Progress", "Screen"]

_PIPE_WIDTH = 200
"""Columns of what is no terminal: nothing of ours is longer, and lines are not cut or wrapped."""

_PLAIN_FIRST_S = 5.0
"""After so long a plain line says how far it is, and again after twice as long each time."""


class Progress(Protocol):
    """How far something is."""

    def update(self, done: float, note: str = "", total: float | None = None) -> None:
        """Show ``done`` of the total, and a note behind it; a new total where there is one."""


class Screen:
    """Standard output for results, standard error for everything else.

    Text is never read as markup: IDs and titles come from clients. Control characters in it are for the caller to
    escape (`oryx_py.cli.visible`).
    """

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self.out = _console(out or sys.stdout)
        self.err = _console(err or sys.stderr)

    @property
    def interactive(self) -> bool:
        """Whether results go to a terminal."""
        return self.out.is_terminal

    def line(self, text: str = "", style: str = "") -> None:
        """Print one line of a result."""
        _print(self.out, text, style)

    def clear(self) -> None:
        """Empty the terminal that results go to."""
        self.out.clear()

    def note(self, text: str, style: str = "dim") -> None:
        """Print one line about what happens, to standard error."""
        _print(self.err, text, style)

    def heading(self, text: str) -> None:
        """Print the title of a part: ruled on a terminal, a line after an empty one elsewhere."""
        self.out.print()
        if self.interactive:
            self.out.rule(Text(text, "bold"), align="left")
        else:
            self.line(f"== {text}")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
        """Print rows below their headings; columns in ``right`` hold numbers."""
        if not self.interactive:
            for line in _aligned([columns, *rows], right):
                self.line(line)
            return
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for place, name in enumerate(columns):
            table.add_column(Text(name), justify="right" if place in right else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        self.out.print(table)

    @contextmanager
    def progress(self, label: str, total: float | None, unit: str = "") -> Iterator[Progress]:
        """Show a bar while the block runs; into a pipe, a line now and then and one at the end.

        Args:
            label: what is being done.
            total: where it ends, None where that is not known.
            unit: what is counted, for the plain lines.
        """
        if self.err.is_terminal and self.interactive:
            yield from self._bar(label, total)
        else:
            yield from self._lines(label, total, unit)

    def _bar(self, label: str, total: float | None) -> Iterator[Progress]:
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        columns = [
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[note]}", markup=False),
            TimeElapsedColumn(),
        ]
        with Bars(*columns, console=self.err, transient=True) as bars:
            task = bars.add_task(label, total=total, note="")

            class Bar:
                def update(self, done: float, note: str = "", total: float | None = None) -> None:
                    bars.update(task, completed=done, note=note, total=total)

            yield Bar()

    def _lines(self, label: str, total: float | None, unit: str) -> Iterator[Progress]:
        lines = _Lines(self, label, total, unit)
        yield lines
        lines.end()


class _Lines:
    """Progress as lines, seldom."""

    def __init__(self, screen: Screen, label: str, total: float | None, unit: str) -> None:
        self._screen, self._label, self._total, self._unit = screen, label, total, unit
        self._pause_s = _PLAIN_FIRST_S
        self._due = time.monotonic() + self._pause_s
        self._last = ""

    def update(self, done: float, note: str = "", total: float | None = None) -> None:
        """See `Progress`."""
        self._total = self._total if total is None else total
        self._last = note or self._counted(done)
        now = time.monotonic()
        if now >= self._due:
            self._pause_s *= 2
            self._due = now + self._pause_s
            self._screen.note(f"{self._label}: {self._last}")

    def end(self) -> None:
        """Print where it ended."""
        if self._last:
            self._screen.note(f"{self._label}: {self._last}")

    def _counted(self, done: float) -> str:
        of = f" of {self._total:,.0f}" if self._total else ""
        return f"{done:,.0f}{of} {self._unit}".rstrip()


def _aligned(rows: Sequence[Sequence[str]], right: Sequence[int]) -> Iterator[str]:
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = []
        for place, (cell, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - cell_len(cell))
            cells.append(space + cell if place in right else cell + space)
        yield "  ".join(cells).rstrip()


def _print(console: Console, text: str, style: str) -> None:
    if console.is_terminal:
        console.print(Text(text, style), soft_wrap=True)
    else:  # as it is: Rich makes spaces of tabs
        print(text, file=console.file, flush=True)


def _console(stream: TextIO) -> Console:
    terminal = stream.isatty()
    return Console(file=stream, highlight=False, markup=False, emoji=False, width=None if terminal else _PIPE_WIDTH)
