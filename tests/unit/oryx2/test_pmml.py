"""PMML of Oryx 2 is read; anything else is refused in one line, within bounds."""

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oryx_py.errors import BadMessage
from oryx_py.numerics.objective import Objective
from oryx_py.oryx2.id_list import read_ids
from oryx_py.oryx2.pmml import read_pmml
from tests.support.oryx2 import id_list, pmml

# As a release of Oryx 2 printed it, but for the line breaks.
PRINTED = (
    b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?><PMML xmlns="http://www.dmg.org/PMML-4_4" version="4.4">'
    b'<Header><Application name="Oryx"/><Timestamp>2018-05-18T13:37:57+0000</Timestamp></Header>'
    b'<Extension name="X" value="X/"/><Extension name="Y" value="Y/"/><Extension name="features" value="10"/>'
    b'<Extension name="lambda" value="0.001"/><Extension name="implicit" value="true"/>'
    b'<Extension name="alpha" value="1.0"/><Extension name="logStrength" value="true"/>'
    b'<Extension name="epsilon" value="1.0E-5"/>'
    b'<Extension name="XIDs">56 168 222</Extension><Extension name="YIDs">1 "a b" &amp;c</Extension></PMML>'
)


def test_a_document_of_oryx_2_is_read():
    model = read_pmml(PRINTED)
    assert model.features == 10
    assert model.objective == Objective.mllib_implicit(0.001, 1.0, log_strength=True, epsilon=1e-5)
    assert (model.user_folder, model.item_folder) == ("X/", "Y/")
    assert model.user_ids == ["56", "168", "222"]
    assert model.item_ids == ["1", "a b", "&c"]


def test_explicit_feedback_has_no_alpha():
    assert read_pmml(pmml("u", "i", implicit="FALSE").encode()).objective == Objective.mllib_explicit(0.1)


def test_lists_that_are_empty_are_not_written():
    model = read_pmml(pmml([], []).encode())
    assert (list(model.user_ids), list(model.item_ids)) == ([], [])


def test_extensions_elsewhere_and_repeated_ones_do_not_count():
    text = pmml(["u"], ["i"]).replace("<Header>", '<Header><Extension name="features" value="7"/>')
    text = text.replace(
        "</PMML>", '<Extension name="features" value="8"/><Extension name="XIDs">v w</Extension></PMML>'
    )
    model = read_pmml(text.encode())
    assert model.features == 2
    assert model.user_ids == ["u"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1", "us-ascii", "cp1252"])
def test_a_declared_encoding_is_heeded(encoding):
    name = "u" if encoding == "us-ascii" else "ü"
    declared = "utf-8" if encoding == "utf-8-sig" else encoding
    text = pmml([name], ["i"]).replace("UTF-8", declared)
    assert read_pmml(text.encode(encoding)).user_ids == [name]


IDS = st.text(
    st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff"), min_size=1, max_size=12
)


@settings(deadline=None, max_examples=60)
@given(st.lists(IDS))
def test_ids_come_back_whatever_is_in_them(ids):
    assert read_ids(id_list(ids), "XIDs", 1000) == ids
    model = read_pmml(pmml(ids, ids).encode())
    assert list(model.user_ids) == list(model.item_ids) == ids


# The examples of Oryx 2's own TextUtilsTest.
@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("1 22 3", ["1", "22", "3"]),
        ('ab  "a b"   "with \\"quotes\\" "', ["ab", "a b", 'with "quotes" ']),
        ('"\\" \\""', ['" "']),
        (' " c\\" d \\"e " " c\\" d \\"e "', [' c" d "e ', ' c" d "e ']),
        ('"x""y" a\\b a"b', ['x"y', "a\\b", 'a"b']),
        ("\n  a\tb\r\n c\u00a0d \u3000 ", ["a", "b", "c\u00a0d", "\u3000"]),
        ("", []),
        ('"" a', ["a"]),
    ],
)
def test_the_quoting_is_pmmls(text, ids):
    assert list(read_ids(text, "XIDs", 10)) == ids


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('a "b', "XIDs: the quote at character 2 of the list is not closed"),
        ('a "b"c', "the quote at character 2"),
        ('"' * 100_001, "not closed"),
        ("a " * 11, "XIDs has 11 IDs, at most 10 are allowed"),
        ("x" * 1025, "an ID of XIDs has 1025 bytes, at most 1024 are allowed"),
        ("a\x85b", "control character U\\+0085"),
    ],
)
def test_a_list_that_cannot_be_right_is_refused(text, reason):
    with pytest.raises(BadMessage, match=reason):
        read_ids(text, "XIDs", 10)


GOOD = pmml(["u"], ["i"])
LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
HOSTILE = {
    "external DTD": (GOOD.replace("<PMML", '<!DOCTYPE PMML SYSTEM "http://127.0.0.1:1/x.dtd"><PMML'), "DOCTYPE"),
    "a bare DOCTYPE": (GOOD.replace("<PMML", "<!DOCTYPE PMML><PMML"), "DOCTYPE"),
    "a file": (
        GOOD.replace("<PMML", '<!DOCTYPE PMML [<!ENTITY f SYSTEM "file:///etc/passwd">]><PMML').replace(">u<", ">&f;<"),
        "DOCTYPE",
    ),
    "billion laughs": (
        GOOD.replace("<PMML", f'<!DOCTYPE PMML [<!ENTITY l0 "ha">{LAUGHS}]><PMML').replace(">u<", ">&l11;<"),
        "DOCTYPE",
    ),
    "a parameter entity": (
        GOOD.replace("<PMML", '<!DOCTYPE PMML [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]><PMML'),
        "DOCTYPE",
    ),
    "an undeclared entity": (GOOD.replace(">u<", ">&nbsp;<"), "undefined entity"),
    "another root": (GOOD.replace("PMML", "HTML"), "the document's root is 'HTML', not PMML"),
    "a root of a long name": (f"<{'x' * 100_000}/>", "the document's root is 'x{40}', not PMML"),
    "deep": ("<PMML>" + "<a>" * 10_000, "more than 64 deep"),
    "deeper": ("<PMML>" + "<a>" * 1_000_000, "more than 64 deep"),
    "an attribute of megabytes": (pmml("u", "i", X="x" * 5_000_000), "Extension X has 5000000 characters"),
    "many attributes": (
        GOOD.replace("<Header>", "<Header " + " ".join(f'a{n}="1"' for n in range(100_000)) + ">").replace(
            "</PMML>", ""
        ),
        "no element found",
    ),
    "an attribute twice": (GOOD.replace('value="X/"', 'value="X/" value="Z/"'), "duplicate attribute"),
    "an unbound prefix": (GOOD.replace("<Header>", "<a:Header>"), "unbound prefix"),
    "nothing": ("", "no element found"),
    "no XML": ("\0\1\2", "not well-formed"),
    "another encoding than declared": (GOOD.replace("UTF-8", "utf-16"), "encoding"),
    "an encoding that nobody has": (GOOD.replace("UTF-8", "x-none"), "encoding"),
    "a multi-byte encoding": (GOOD.replace("UTF-8", "shift_jis"), "encoding"),
    "an encoding that is a codec of bytes": (GOOD.replace("UTF-8", "zlib_codec"), "encoding"),
    "no features": (GOOD.replace('"features"', '"k"'), "of no ALS model: it has no Extension features"),
    "no feedback": (GOOD.replace('"implicit"', '"k"'), "of no ALS model: it has no Extension implicit"),
    "k of 0": (pmml("u", "i", features=0), "features must be from 1 to 4096, not '0'"),
    "k too large": (pmml("u", "i", features=10**8), "features must be from 1"),
    "k of other digits": (pmml("u", "i", features="٣"), "features must be from 1"),
    "k huge": (pmml("u", "i", features="1" * 5000), "at most 4096 are allowed"),
    "implicit of neither": (pmml("u", "i", implicit="1"), "implicit must be true or false, not '1'"),
    "lambda of nothing": (pmml("u", "i", **{"lambda": "x"}), "lambda must be a finite number"),
    "lambda NaN": (pmml("u", "i", **{"lambda": "NaN"}), "lambda must be a finite number"),
    "alpha infinite": (pmml("u", "i", alpha="Infinity"), "alpha must be a finite number"),
    "alpha negative": (pmml("u", "i", alpha=-1), "alpha must be a finite number"),
    "epsilon 0": (pmml("u", "i", logStrength="true", epsilon=0), "epsilon must be above 0"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_hostile_is_refused_in_one_line(case):
    text, reason = HOSTILE[case]
    with pytest.raises(BadMessage, match=reason) as refused:
        read_pmml(text.encode())
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300


def test_a_document_of_no_utf8_is_refused():
    with pytest.raises(BadMessage, match="cannot be read"):
        read_pmml(GOOD.encode().replace(b">u<", b">\xff\xfe<"))


def test_a_document_beyond_the_bound_is_refused_unread():
    with pytest.raises(BadMessage, match="at most 100 are allowed"):
        read_pmml(b"<" * 101, max_bytes=100)


def test_a_document_cut_at_any_byte_is_refused():
    whole = pmml(["u", "ü v"], ["i"]).encode()
    for end in range(len(whole)):
        with pytest.raises(BadMessage) as refused:
            read_pmml(whole[:end])
        assert "\n" not in str(refused.value)
    read_pmml(whole)


def test_a_million_ids_are_read_in_bounded_memory():
    document = pmml((f"user-{n}" for n in range(1_000_000)), ["i"]).encode()
    assert len(read_pmml(document).user_ids) == 1_000_000
    tracemalloc.start()
    try:
        read_pmml(document[: len(document) // 10] + b"</Extension></PMML>")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 * len(document) / 10, "the IDs, and a few copies of the text"
