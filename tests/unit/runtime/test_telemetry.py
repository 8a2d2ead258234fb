"""The form of the logs."""

import io
import json
import logging
import warnings

import numpy as np
import structlog

from oryx_py.runtime.telemetry import configure_logging


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_away_from_a_terminal_each_event_is_one_json_object() -> None:
    stream = io.StringIO()
    configure_logging(stream=stream)
    structlog.get_logger("speed").bind(epoch=3).info("caught_up", offsets={0: 17}, rows=np.int64(5))
    (event,) = lines(stream)
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "caught_up",
        "level": "info",
        "logger": "speed",
        "epoch": 3,
        "offsets": {"0": 17},
        "rows": 5,
    }


def test_on_a_terminal_events_are_readable_and_coloured_unless_refused() -> None:
    for environ, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        stream = Terminal()
        configure_logging(stream=stream, environ=environ)
        structlog.get_logger("speed").info("caught_up", epoch=3)
        assert "caught_up" in stream.getvalue()
        assert ("\x1b[" in stream.getvalue()) is coloured


def test_a_format_that_is_asked_for_is_used_anywhere() -> None:
    terminal, pipe = Terminal(), io.StringIO()
    configure_logging(format="json", stream=terminal)
    structlog.get_logger("x").info("one")
    configure_logging(format="console", stream=pipe, environ={})
    structlog.get_logger("x").info("two", n=1)
    assert lines(terminal)[0]["event"] == "one"
    assert "two" in pipe.getvalue()
    assert "\x1b[" not in pipe.getvalue()


def test_records_and_warnings_of_libraries_take_the_same_form() -> None:
    stream = io.StringIO()
    configure_logging(stream=stream)
    logging.getLogger("library").warning("%s of %s", 1, 2, extra={"shard": 7})
    warnings.warn("old", DeprecationWarning, stacklevel=1)
    first, second = lines(stream)
    assert (first["event"], first["logger"], first["level"], first["shard"]) == ("1 of 2", "library", "warning", 7)
    assert "DeprecationWarning: old" in second["event"]


def test_what_is_below_the_level_is_not_written() -> None:
    stream = io.StringIO()
    configure_logging("warning", stream=stream)
    structlog.get_logger("a").info("quiet")
    logging.getLogger("b").info("quiet")
    structlog.get_logger("a").warning("loud")
    assert [event["event"] for event in lines(stream)] == ["loud"]


def test_a_chatty_library_is_heard_only_when_it_warns() -> None:
    stream = io.StringIO()
    configure_logging("debug", stream=stream)
    logging.getLogger("py4j.java_gateway").info("command sent")
    logging.getLogger("py4j.java_gateway").warning("connection lost")
    assert [event["event"] for event in lines(stream)] == ["connection lost"]


def test_an_exception_is_told_with_its_traceback_and_without_local_variables() -> None:
    for form, stream in (("json", io.StringIO()), ("console", Terminal())):
        configure_logging(format=form, stream=stream)
        password = "hunter2"
        try:
            raise ValueError("broken")
        except ValueError:
            structlog.get_logger("x").exception("failed")
        assert "ValueError: broken" in stream.getvalue()
        assert password not in stream.getvalue()


def test_whatever_the_fields_hold_a_line_is_written() -> None:
    stream = io.StringIO()
    configure_logging(stream=stream)
    structlog.get_logger("x").info("odd", surrogate="\ud800", huge=2**70, thing=object(), key={1.5: b"bytes"})
    (event,) = lines(stream)
    assert "odd" in event["event"]


def test_configuring_again_replaces_what_was_set() -> None:
    first, second = io.StringIO(), io.StringIO()
    log = structlog.get_logger("made-before")
    configure_logging(stream=first)
    configure_logging(stream=second)
    log.info("once")
    assert first.getvalue() == ""
    assert len(lines(second)) == 1
