"""What a client may write, and what it means."""

import pytest

from oryx_py.errors import BadInteraction
from oryx_py.events import Action, Interaction, encode_csv, parse_object, parse_value


@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        (b"u,i", Interaction("u", "i", 1.0)),
        (b"u,i,", Interaction("u", "i", None)),
        (b"u,i,2.5", Interaction("u", "i", 2.5)),
        (b"u,i,-2e3", Interaction("u", "i", -2000.0)),
        (b"u,i,0", Interaction("u", "i", 0.0)),
        (b"u,i, 3 ", Interaction("u", "i", 3.0)),
        (b"u,i,1,1700000000000", Interaction("u", "i", 1.0, 1_700_000_000_000)),
        (b"u,i,1,0", Interaction("u", "i", 1.0, 0)),
        (b"u,i,1,9223372036854775807", Interaction("u", "i", 1.0, 2**63 - 1)),
        (b"u,i,,1700000000000", Interaction("u", "i", None, 1_700_000_000_000)),
        (b"u,i,1,,view", Interaction("u", "i", 1.0, None, "view")),
        (b"u,i,1,5,view", Interaction("u", "i", 1.0, 5, "view")),
        (b"u,i,1,5,", Interaction("u", "i", 1.0, 5)),
        (b"u,,", Interaction("u", "", None)),
        (b",i,", Interaction("", "i", None)),
        (b"u,i\n", Interaction("u", "i", 1.0)),
        (b"u,i,2\r\n", Interaction("u", "i", 2.0)),
        (b'"a,b","say ""hi""",2', Interaction("a,b", 'say "hi"', 2.0)),
        (b'"u","i","2","5","view"\r\n', Interaction("u", "i", 2.0, 5, "view")),
        (b'"u",""', None),
        (b'"[x",i', Interaction("[x", "i", 1.0)),
        (b"a/b,https://x/?q=1", Interaction("a/b", "https://x/?q=1", 1.0)),
        (b" u ,i", Interaction(" u ", "i", 1.0)),
        ("Zoë,日本語,1".encode(), Interaction("Zoë", "日本語", 1.0)),
        ("e\u0301,\u00e9".encode(), Interaction("e\u0301", "\u00e9", 1.0)),
        ("a\u2028b,\u00a0".encode(), Interaction("a\u2028b", "\u00a0", 1.0)),
        (b"u,i,1e39", None),
        (b"u,i,1e400", None),
        (b"u,i,nan", None),
        (b"u,i,-inf", None),
        (b"u,i,Infinity", None),
        (b"u,i,1_0", None),
        ("u,i,\u0661".encode(), None),
        (b"u,i,x", None),
        (b"u,i,1,1.5", None),
        (b"u,i,1,-1", None),
        (b"u,i,1,1e3", None),
        (b"u,i,1,9223372036854775808", None),
        (b"u,i,1,2,view,more", None),
        (b"u", None),
        (b"u,", None),
        (b",i", None),
        (b"u,,1", None),
        (b",i,1", None),
        (b",,", None),
        (b"", None),
        (b"\n", None),
        (None, None),
        (b"u,i\nv,j", None),
        (b'"u\nv",i', None),
        (b'"u,i', None),
        (b'a"b,i', None),
        (b'"a"b,i', None),
        (b'u,"i" ', None),
        (b"u\x00,i", None),
        (b"u\xff,i", None),
        ("u\u0085,i".encode(), None),
        (b"u,i,1,2,vi\tew", None),
        (b'{"user":"u","item":"i"}', None),
    ],
)
def test_a_csv_value_means_one_interaction_or_is_refused(value: bytes | None, meaning: Interaction | None) -> None:
    if meaning is None:
        with pytest.raises(BadInteraction):
            parse_value(value)
    else:
        assert parse_value(value) == meaning


@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        (b'["u","i"]', Interaction("u", "i", 1.0)),
        (b'["u","i",null]', Interaction("u", "i", None)),
        (b'["u","i",""]', Interaction("u", "i", None)),
        (b'["u","i",2]', Interaction("u", "i", 2.0)),
        (b'["u","i","2.5","5"]', Interaction("u", "i", 2.5, 5)),
        (b'["u","i",2.5,5,"view"]', Interaction("u", "i", 2.5, 5, "view")),
        (b'["u","i",2.5,null,null]', Interaction("u", "i", 2.5)),
        (b'["u","i",1,1.7e12]', Interaction("u", "i", 1.0, 1_700_000_000_000)),
        (b'[ "a,b" , "say \\"hi\\"" ]\n', Interaction("a,b", 'say "hi"', 1.0)),
        (b"[17,42]", Interaction("17", "42", 1.0)),
        (b'["u",null,null]', Interaction("u", "", None)),
        (b'["","i",null]', Interaction("", "i", None)),
        (b'["u","i",1e39]', None),
        (b'["u","i",1e999]', None),
        (b'["u","i",NaN]', None),
        (b'["u","i","nan"]', None),
        (b'["u","i",true]', None),
        (b'["u","i",1,1.5]', None),
        (b'["u","i",1,-1]', None),
        (b'["u","i",1,9223372036854775808]', None),
        (b'["u","i",1' + b"0" * 400 + b"]", None),
        (b'["u","i",1,1' + b"0" * 400 + b"]", None),
        (b"[1" + b"0" * 5000 + b',"i"]', None),
        (b"[1.5,2]", None),
        (b'["u"]', None),
        (b"[]", None),
        (b'["u",null]', None),
        (b'["u","i",1,2,"view",6]', None),
        (b'["u",["i"]]', None),
        (b'["u","i"', None),
        (b'["u","i"] x', None),
        (b"[u,i]", None),
        (b'["\\ud800","i"]', None),
        (b'["\\u0007","i"]', None),
        (b'["\xff","i"]', None),
        (b"[" * 100_000, None),
    ],
)
def test_a_json_array_means_the_same_as_its_fields(value: bytes, meaning: Interaction | None) -> None:
    if meaning is None:
        with pytest.raises(BadInteraction):
            parse_value(value)
    else:
        assert parse_value(value) == meaning


@pytest.mark.parametrize(
    ("obj", "meaning"),
    [
        ({"user": "u", "item": "i"}, Interaction("u", "i", 1.0)),
        ({"user": "u", "item": "i", "strength": None}, Interaction("u", "i", None)),
        ({"user": "u", "item": 7, "strength": 2, "timestamp": 5, "event": "buy"}, Interaction("u", "7", 2.0, 5, "buy")),
        ({"user": "u", "item": None, "strength": None}, Interaction("u", "", None)),
        ({"user": "", "item": "i", "strength": None}, Interaction("", "i", None)),
        ({"user": "u", "item": ["i"]}, "item must be text"),
        ({"user": True, "item": "i"}, "user must be text"),
        ({"user": "u", "strength": None}, "item is missing"),
        ({}, "user is missing"),
        ({"user": "u", "item": "i", "strenght": 2}, "unknown key 'strenght'"),
        ({"user": "u", "item": "i", "strength": float("nan")}, "strength must be a finite number"),
        ({"user": "u", "item": "i", "strength": [1]}, "strength must be a finite number"),
        ({"user": "u", "item": "i", "timestamp": {}}, "timestamp must be epoch milliseconds"),
        ({"user": "u", "item": "i", "event": 1.5}, "kind must be text"),
    ],
)
def test_a_json_object_means_the_same_as_its_fields(obj: dict[str, object], meaning: Interaction | str) -> None:
    if isinstance(meaning, str):
        with pytest.raises(BadInteraction, match=meaning):
            parse_object(obj)
    else:
        assert parse_object(obj) == meaning


def test_forgetting_takes_an_item_that_is_named_as_empty_not_one_left_out() -> None:
    with pytest.raises(BadInteraction, match="item is missing"):
        parse_object({"user": "u", "strength": None})


@pytest.mark.parametrize(
    ("interaction", "action"),
    [
        (Interaction("u", "i", 0.0), Action.ADD),
        (Interaction("u", "i", None), Action.DELETE),
        (Interaction("u", "", None), Action.FORGET_USER),
        (Interaction("", "i", None), Action.FORGET_ITEM),
    ],
)
def test_what_is_empty_says_what_an_interaction_does(interaction: Interaction, action: Action) -> None:
    assert interaction.action is action


@pytest.mark.parametrize(
    ("interaction", "line"),
    [
        (Interaction("u", "i", 1.0), b"u,i,1"),
        (Interaction("u", "i", None), b"u,i,"),
        (Interaction("u", "i", 2.5, 5), b"u,i,2.5,5"),
        (Interaction("u", "i", 1.0, None, "view"), b"u,i,1,,view"),
        (Interaction("a,b", 'c"d', 1.0), b'"a,b","c""d",1'),
        (Interaction("[u", "[i", 1.0), b'"[u","[i",1'),
    ],
)
def test_a_line_is_as_short_as_it_can_be_and_quoted_where_it_must(interaction: Interaction, line: bytes) -> None:
    assert encode_csv(interaction) == line


def test_a_reason_stays_short_whatever_the_value() -> None:
    for value in [b"u,i," + b"x" * 1_000_000, b"u,i,1," + b"7" * 1_000_000, b"x" * 1_000_000, b"[" + b"x" * 1_000_000]:
        with pytest.raises(BadInteraction) as error:
            parse_value(value)
        assert len(error.value.reason) < 300
        assert "\n" not in error.value.reason
