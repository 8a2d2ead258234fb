"""Bulk bodies mean what their lines mean one by one, however they arrive."""

import email.policy
import json
from email.parser import BytesParser
from itertools import pairwise

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from oryx_py.errors import BadInteraction
from oryx_py.events import Action, parse_object, parse_value
from serving_layer.http_semantics.problems import Problem
from serving_layer.ingestion import lines as lines_module
from serving_layer.ingestion.json_arrays import ArrayReader
from serving_layer.ingestion.json_bodies import JsonReader
from serving_layer.ingestion.lines import csv_reader, ndjson_reader, parse_json
from serving_layer.ingestion.multipart import END, Multipart, PartBegins

NOW_MS = 777

NASTY = ['"', '""', ",", "[", "]", "\r", " ", "ü", "\x85", "\x7f", "\t", "\u2028", "-", "+", ".", "1", "0", "é,", "1e5"]
IDS = [
    "[",
    "[a",
    "é" * 512,
    "é" * 513,
    "x" * 256,
    "x" * 257,
    "x" * 1025,
    '"a,b"',
    '"q""q"',
    "a/b",
    "a\x7f",
    "\x85",
    "\ta",
    "",
]
NUMBERS = [
    "-2.5",
    "+3",
    "1e9",
    "1e999",
    "nan",
    "1_0",
    "٣",
    "1.",
    ".5",
    "9" * 15,
    "9" * 16,
    "9" * 50,
    "9." + "9" * 40,
    "",
]
TIMES = ["9" * 18, "9" * 19, "-1", "007", "٣", "1.0", ""]
ODD = st.one_of(
    st.sampled_from(IDS), st.lists(st.sampled_from(NASTY), max_size=4).map("".join), st.text(max_size=6)
).map(lambda text: text.replace("\n", ""))


@st.composite
def lines(draw):
    """A line as most are, but often with something odd in one field."""
    fields = ["u", "item 7", "1.5", "1700000000000", "buy"][: draw(st.integers(1, 5))]
    place = draw(st.integers(-2, len(fields)))
    if place >= 0:
        special = {2: st.sampled_from(NUMBERS), 3: st.sampled_from(TIMES)}.get(place, ODD)
        fields[place : place + 1] = [draw(st.one_of(special, ODD))]
    return ",".join(fields)


LINES = lines()
PLAIN = st.sampled_from(["u,i", "ann,i2,2.5", "bob,x,,", "u,i,", "c,d,1,170000", "c,d,,170000,buy", "c,d,-1.5,5"])
BLANK = st.sampled_from(["", "", " ", "\t", "\r", "\x0b\x0c", " " * 300])
BODIES = st.lists(st.one_of(PLAIN, LINES, BLANK), max_size=12)
CUTS = st.lists(st.integers(0, 400), max_size=8)


def chunks(data, cuts):
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    return [data[start:end] for start, end in pairwise(places)] or [b""]


def read(reader, data, cuts):
    values, bad = [], []
    pieces = chunks(data, cuts)
    for number, piece in enumerate(pieces, 1):
        for found in reader.feed(piece, last=number == len(pieces)):
            assert not found.values or found.values.endswith(b"\n")
            values += found.values.split(b"\n")[:-1]
            bad += found.bad
            if found.broken:
                return values, bad, True
    return values, bad, False


def expected(line, parse):
    """What one line says: an interaction, a reason, or nothing."""
    line = line.strip(b"\r")
    if not line.strip():
        return None
    try:
        interaction = parse(line)
        if interaction.action in {Action.FORGET_USER, Action.FORGET_ITEM}:
            return "forgets"
        time = NOW_MS if interaction.timestamp_ms is None else interaction.timestamp_ms
        return msgspec.structs.replace(interaction, timestamp_ms=time)
    except BadInteraction as error:
        return error.reason


def check_lines(data, cuts, make, parse):
    values, bad, broken = read(make(NOW_MS), data, cuts)
    assert not broken
    wanted = [expected(line, parse) for line in data.split(b"\n")]
    if data.endswith(b"\n") or not data:
        wanted.pop()
    assert len(values) == len(wanted)
    reasons = dict(bad)
    for number, (value, want) in enumerate(zip(values, wanted, strict=True), 1):
        if isinstance(want, str):
            assert value == b""
            assert reasons.pop(number).startswith(want) or "to forget" in dict(bad)[number]
        else:
            assert (parse_value(value) if value else None) == want
    assert not reasons


@settings(deadline=None)
@given(BODIES, st.sampled_from(["\n", "\r\n"]), st.booleans(), CUTS)
@example(["u,i", "x"], "\n", False, [])
@example(['"u",i', "u,i,1,5", "\ufeffu,i"], "\r\n", True, [3])
def test_csv_lines_mean_what_each_means_alone(lines, end, ended, cuts):
    data = (end.join(lines) + (end if ended else "")).encode()
    check_lines(data, cuts, csv_reader, parse_value)


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_one_odd_field_among_plain_lines_changes_nothing_else(count):
    for place in range(count):
        for odd in [*IDS, *NUMBERS, *TIMES, *NASTY]:
            fields = ["u", "i", "1", "5", "buy"][:count]
            fields[place] = odd
            check_lines("\n".join(["a,b,1,2", ",".join(fields), "c,d"]).encode(), [], csv_reader, parse_value)


@pytest.mark.parametrize("make", [csv_reader, ndjson_reader])
@pytest.mark.parametrize("blank", [b"\n", b"\r\n", b" \t\n", b"\n\r\n"])
def test_blank_lines_are_read_a_block_at_once(make, blank):
    data = blank * 200_000
    slices = list(make(NOW_MS).feed(data, last=True))
    assert len(slices) <= len(data) / 65_536 + 1
    assert sum(len(found.values) for found in slices) == data.count(b"\n")


def test_plain_lines_with_blank_ones_between_are_read_a_block_at_once():
    data = b"u,i\n\n\nu,i,2\n\r\n" * 20_000
    assert len(list(csv_reader(NOW_MS).feed(b"u,i\n\n\nv,i\r\n\r\n" * 20_000, last=True))) < 10
    slices = [found.values.count(b"\n") for found in csv_reader(NOW_MS).feed(data, last=True)]
    assert sum(slices) == data.count(b"\n")
    assert max(slices) <= 200 * 3, "200 changes of kind are a turn's work"


@settings(deadline=None)
@given(st.lists(st.one_of(PLAIN.map(str.encode), st.binary(max_size=20)), max_size=8), CUTS)
def test_lines_that_are_not_utf8_are_bad_and_others_are_not(lines, cuts):
    check_lines(b"\n".join(line.replace(b"\n", b"") for line in lines), cuts, csv_reader, parse_value)


OBJECTS = st.one_of(
    st.fixed_dictionaries(
        {"user": st.one_of(st.text(max_size=5), st.integers()), "item": st.sampled_from(["i", "a]}", '"{', "\\"])},
        optional={
            "strength": st.one_of(st.none(), st.floats(allow_nan=False), st.sampled_from(["2.5", "x"])),
            "timestamp": st.integers(-1, 10**13),
            "event": st.sampled_from(["buy", ""]),
        },
    ),
    st.just({"user": "u"}),
)


@settings(deadline=None)
@given(st.lists(st.one_of(OBJECTS, st.none()), max_size=8), CUTS)
def test_json_lines_mean_what_each_means_alone(objects, cuts):
    data = b"\n".join(json.dumps(found).encode() if found else b" " for found in objects)
    check_lines(data, cuts, ndjson_reader, parse_json)


@settings(deadline=None)
@given(st.lists(OBJECTS, max_size=8), st.sampled_from([None, 1]), CUTS)
def test_an_array_means_what_its_objects_mean(objects, indent, cuts):
    values, bad, broken = read(ArrayReader(NOW_MS), json.dumps(objects, indent=indent).encode(), cuts)
    assert not broken
    wanted = [expected(json.dumps(found).encode(), lambda line: parse_object(json.loads(line))) for found in objects]
    assert [parse_value(value) if value else None for value in values] == [
        None if isinstance(want, str) else want for want in wanted
    ]
    assert [number for number, _ in bad] == [n for n, want in enumerate(wanted, 1) if isinstance(want, str)]


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([b"[", b"]", b"{", b"}", b",", b'"', b"\\", b" ", b'{"user":"u","item":"i"}', b"1"])), CUTS
)
def test_what_is_no_array_is_refused_wherever_it_is_cut(tokens, cuts):
    data = b"".join(tokens)
    whole, cut = read(ArrayReader(NOW_MS), data, []), read(ArrayReader(NOW_MS), data, cuts)
    assert whole == cut
    try:
        parsed = json.loads(data)
        assert whole[2] == (not isinstance(parsed, list) or any(not isinstance(found, dict) for found in parsed))
    except ValueError:
        assert whole[2] or whole[1]


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from([b"[", b"]", b"{", b" ", b"\n", b"1", b'["u","i"]\n', b'{"user":"u","item":"i"}', b"u,i"])
    ),
    CUTS,
    st.sampled_from([b"", b" " * 65_534, b"\n" * 65_536]),
)
def test_what_a_json_body_is_does_not_depend_on_where_it_is_cut(tokens, cuts, before):
    data = before + b"".join(tokens)
    cuts = [*cuts, *(len(before) + cut - 2 for cut in cuts if before)]
    assert read(JsonReader(NOW_MS), data, []) == read(JsonReader(NOW_MS), data, cuts)


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 60), st.sampled_from([b"", b"\n", b"\r\n"]), CUTS)
def test_a_line_above_the_bound_ends_it_wherever_it_is_cut(before, length, end, cuts):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines_module, "MAX_LINE_BYTES", 30)
        data = b"u,i\n" * before + b"#" * length + end
        _, bad, broken = read(csv_reader(NOW_MS), data, cuts)
    assert broken == (length > 30)
    if broken:
        assert bad[-1].number == before + 1
        assert "longer than 30 bytes" in bad[-1].reason


PARTS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                b"",
                b"Content-Type: text/csv\r\n",
                b'Content-Disposition: form-data; name="f"; filename="\xc3\xbc.csv"\r\n',
            ]
        ),
        st.lists(
            st.sampled_from([b"u,i\n", b"\r\n", b"--", b"--bou", b"\r\n--bou", b"\r\n--boundx", b"-", b"\x00"])
        ).map(b"".join),
    ),
    min_size=1,
    max_size=4,
)


@settings(deadline=None)
@given(
    st.sampled_from([b"", b"\r\n", b"preamble\r\n"]),
    PARTS,
    st.sampled_from([b"", b" \t"]),
    st.sampled_from([b"", b"\r\ntrailer\r\n--bound\r\n"]),
    CUTS,
)
def test_parts_come_out_as_they_went_in(preamble, parts, padding, epilogue, cuts):
    """Against Python's own parser of mail."""
    data = preamble
    for headers, content in parts:
        data += b"--bound" + padding + b"\r\n" + headers + b"\r\n" + content + b"\r\n"
    data += b"--bound--" + epilogue
    multipart = Multipart(b"bound")
    events = [event for piece in chunks(data, cuts) for event in multipart.feed(piece)]
    multipart.finish()
    found = []
    for event in events:
        if isinstance(event, PartBegins):
            found.append([event.media_type, event.filename, b""])
        elif event is END:
            found[-1].append(END)
        else:
            assert len(found[-1]) == 3
            found[-1][2] += event
    assert [(content, end) for _, _, content, end in found] == [(content, END) for _, content in parts]
    oracle = BytesParser(policy=email.policy.compat32).parsebytes(
        b"Content-Type: multipart/mixed; boundary=bound\r\n\r\n" + data
    )
    assert len(oracle.get_payload()) == len(found)
    for (media_type, filename, _, _), part in zip(found, oracle.get_payload(), strict=True):
        assert media_type in {"", part.get_content_type()}
        assert filename == (part.get_filename() or "")


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([b"--b", b"\r\n", b"--", b"\r\n--b\r\n", b"\r\n--b--", b"H: v", b":", b"x", b" "])), CUTS
)
def test_what_is_no_multipart_is_refused_wherever_it_is_cut(tokens, cuts):
    def outcome(pieces):
        multipart, events = Multipart(b"b"), []
        try:
            for piece in pieces:
                events += multipart.feed(piece)
            multipart.finish()
        except Problem as problem:
            return problem.status, problem.detail
        return b"".join(b"<" if isinstance(e, PartBegins) else b">" if e is END else e for e in events)

    data = b"".join(tokens)
    assert outcome([data]) == outcome(chunks(data, cuts))
