"""Log events with fields: readable on a terminal, one JSON object a line everywhere else."""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal, TextIO

import orjson
import structlog
from structlog.typing import Processor

__all__ = ["Format", "configure_logging", "json_lines", "logged_through"]

Format = Literal["auto", "console", "json"]


class _Handler(logging.StreamHandler[TextIO]):
    """Writes the events; ``json`` says in which form."""

    json = False


_NOISY = ("aiohttp.access", "asyncio", "numba", "py4j", "urllib3")
"""Libraries whose progress is nobody's concern: only their warnings are shown."""


def configure_logging(
    level: str = "info",
    format: Format = "auto",  # noqa: A002 - the setting's name
    *,
    stream: TextIO | None = None,
    environ: Mapping[str, str] | None = None,
) -> None:
    """Send structlog's events, the standard library's records and Python's warnings to ``stream`` in one form.

    Calling it again replaces what was set before.

    Args:
        level: debug, info, warning or error.
        format: ``auto`` means console on a terminal and JSON otherwise.
        stream: where to write; standard error if not given.
        environ: for ``NO_COLOR`` and ``FORCE_COLOR``; the process's own if not given.
    """
    stream = sys.stderr if stream is None else stream
    environ = os.environ if environ is None else environ
    terminal = stream.isatty()
    readable = format == "console" or (format == "auto" and terminal)
    colours = not environ.get("NO_COLOR") and (terminal or bool(environ.get("FORCE_COLOR")))

    always: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if readable else "iso", utc=not readable),
    ]
    handler = _Handler(stream)
    handler.json = not readable
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*always, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *(_console(colours) if readable else _json()),
            ],
        )
    )
    root = logging.getLogger()
    for former in list(root.handlers):
        if isinstance(former.formatter, structlog.stdlib.ProcessorFormatter):
            root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *always,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # or loggers that modules made before this call would keep the old form
    )


@contextmanager
def logged_through(stream: TextIO) -> Iterator[None]:
    """Send what is logged within through another stream: that of a display which would be torn by lines beside it."""
    handlers = [handler for handler in logging.getLogger().handlers if isinstance(handler, _Handler)]
    former = [(handler, handler.setStream(stream)) for handler in handlers]
    try:
        yield
    finally:
        for handler, before in former:
            if before is not None:
                handler.setStream(before)


def json_lines() -> Callable[[bytes], None] | None:
    """Return what writes ready-made lines between the events, for what is logged too often to pass through them.

    It blocks until they are written, and may be called in any thread. None where events are not written as JSON.
    """
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _Handler) and handler.json:
            return _writer(handler)
    return None


def _writer(handler: _Handler) -> Callable[[bytes], None]:
    def write(lines: bytes) -> None:
        handler.acquire()
        try:
            handler.stream.write(lines.decode())
            handler.flush()
        finally:
            handler.release()

    return write


def _console(colours: bool) -> list[Processor]:
    # Plain tracebacks: the decorated ones print local variables, passwords among them.
    return [structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=structlog.dev.plain_traceback)]


def _json() -> list[Processor]:
    return [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(serializer=_dumps),
    ]


def _dumps(event: object, default: object = None) -> str:  # noqa: ARG001 - structlog's own default shows far less
    options = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
    try:
        return orjson.dumps(event, default=repr, option=options).decode()
    except orjson.JSONEncodeError:  # a lone surrogate, or an integer of more than 64 bits
        return orjson.dumps({"event": repr(event)}, option=options).decode()
