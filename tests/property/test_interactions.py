"""Interactions survive being written and read; whatever else a client sends raises BadInteraction and nothing else."""

import csv
import io
import json
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from oryx_py.errors import BadInteraction
from oryx_py.events import Interaction, encode_csv, parse_object, parse_value
from tests.support.interactions import ids, interactions

# What the parsers branch on, more often than chance would have it.
_TRICKY = st.lists(
    st.sampled_from(
        [b'"', b'""', b",", b"\n", b"\r\n", b"[", b"]", b"1", b"e9", b"nan", b"\xff", b"\\u", b"null", b"a"]
    )
    | st.binary(max_size=4),
    max_size=20,
).map(b"".join)

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None)
@given(interactions)
def test_csv_reads_back_as_what_was_written(interaction: Interaction) -> None:
    assert parse_value(encode_csv(interaction)) == interaction
    assert parse_value(encode_csv(interaction) + b"\r\n") == interaction


@settings(deadline=None)
@given(interactions)
def test_any_csv_reader_splits_our_lines_into_the_same_fields(interaction: Interaction) -> None:
    (fields,) = csv.reader([encode_csv(interaction).decode()], strict=True)
    assert fields[:2] == [interaction.user, interaction.item]


@settings(deadline=None)
@given(interactions, st.booleans())
def test_lines_of_any_csv_writer_are_read(interaction: Interaction, quote_all: bool) -> None:
    text = io.StringIO()
    # Without quotes [ begins a JSON array; other writers do not know that.
    all_of_them = quote_all or interaction.user.startswith("[")
    csv.writer(text, quoting=csv.QUOTE_ALL if all_of_them else csv.QUOTE_MINIMAL).writerow(
        [
            interaction.user,
            interaction.item,
            "" if interaction.strength is None else repr(interaction.strength),
            "" if interaction.timestamp_ms is None else interaction.timestamp_ms,
            interaction.kind or "",
        ]
    )
    assert parse_value(text.getvalue().encode()) == interaction


@settings(deadline=None)
@given(interactions, st.booleans())
def test_a_json_array_and_object_mean_what_the_csv_line_means(interaction: Interaction, ascii_only: bool) -> None:
    fields = [interaction.user, interaction.item, interaction.strength, interaction.timestamp_ms, interaction.kind]
    assert parse_value(json.dumps(fields, ensure_ascii=ascii_only).encode()) == interaction
    named = dict(zip(["user", "item", "strength", "timestamp", "event"], fields, strict=True))
    assert parse_object(named) == interaction


@settings(deadline=None)
@given(ids, ids, st.sampled_from(["nan", "NaN", "inf", "-inf", "Infinity", "1e400", "-1e39", "1_0", "0x1", "１"]))
def test_a_strength_that_is_no_finite_number_is_refused(user: str, item: str, strength: str) -> None:
    line = encode_csv(Interaction(user, item, None)) + strength.encode()
    try:
        parse_value(line)
    except BadInteraction as error:
        assert "strength" in error.reason  # noqa: PT017 - the message is part of the claim
    else:
        raise AssertionError(line)


@settings(deadline=None, max_examples=500)
@given(
    st.binary(max_size=64)
    | _TRICKY
    | _TRICKY.map(lambda tail: b"[" + tail)
    | _JSON.map(lambda j: json.dumps(j).encode())
)
def test_whatever_bytes_come_are_read_or_refused(value: bytes) -> None:
    with suppress(BadInteraction):
        interaction = parse_value(value)
        assert parse_value(encode_csv(interaction)) == interaction


@settings(deadline=None, max_examples=300)
@given(
    st.dictionaries(st.sampled_from(["user", "item", "strength", "timestamp", "event"]) | st.text(max_size=4), _JSON)
    | st.fixed_dictionaries({"user": _JSON, "item": _JSON}, optional={"strength": _JSON, "timestamp": _JSON})
)
def test_whatever_object_comes_is_read_or_refused(obj: dict[str, object]) -> None:
    with suppress(BadInteraction):
        interaction = parse_object(obj)
        assert parse_value(encode_csv(interaction)) == interaction
