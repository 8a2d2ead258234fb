"""`oryx forget`: what is sent, and that whatever still has somebody forgotten is found, and nothing else."""

import json
import os
import shutil
from collections.abc import Callable, Collection
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from typer.testing import CliRunner

from batch_layer.folding.input_rows import HISTORY_SCHEMA
from batch_layer.housekeeping.generation_retention import outlived
from batch_layer.housekeeping.pruning import Pruner
from batch_layer.housekeeping.row_retention import Limits
from batch_layer.run.steps import Outcome
from oryx_py.adapters.clock import SystemClock
from oryx_py.adapters.file_systems.local_files import LocalFiles
from oryx_py.adapters.places import work_of
from oryx_py.cli.forget.arrays import Unreadable, list_has, numbers_have, row_of
from oryx_py.cli.forget.command import _show
from oryx_py.cli.forget.elsewhere import not_looked_into
from oryx_py.cli.forget.proof import Held, Proof
from oryx_py.cli.forget.standing import generations_until_deleted
from oryx_py.cli.forget.subject import Forgotten, Named, Subject, may_name
from oryx_py.cli.forget.topics import scan_input, scan_items
from oryx_py.cli.forget.until import Until
from oryx_py.cli.forget.verifying import Verifier
from oryx_py.cli.main import app
from oryx_py.cli.screen import Screen
from oryx_py.config import Settings, load
from oryx_py.config.groups import Batch, Input
from oryx_py.config.groups import Update as Updates
from oryx_py.errors import BadInteraction
from oryx_py.events import Interaction, parse_value
from oryx_py.messages import ItemGone, ItemVector, Progress, UserGone, UserVector, encode, partition_of
from oryx_py.messages.update import Update
from oryx_py.model.checkpoints.checkpoint_files import Covered, write_checkpoint
from oryx_py.model.checkpoints.merging import Piece, merged
from oryx_py.model.epochs.registry import EpochStarted, GenerationState, Registry
from oryx_py.model.ids.id_table import write_ids
from oryx_py.model.state.item_states import StateRows
from oryx_py.model.state.model_state import ModelState
from oryx_py.ports import Record, TopicSpec
from oryx_py.testing.fake_log import FakeAdmin, FakeConsumer, FakeProducer
from speed_layer.folding.exact_fold import ExactFold
from tests.support.batch import BatchWorld
from tests.unit.cli.scripted_service import Asked, Reply, scripted

IDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=6)
TRICKY = st.sampled_from(["a", 'a"b', "a,b", "ü", "a\\u0062", "[", "ab", "b"]) | IDS


def as_value(fields: list[str], form: str) -> bytes:
    if form == "csv":
        quoted = ['"' + field.replace('"', '""') + '"' for field in fields]
        return ",".join(quoted).encode()
    return json.dumps(fields, ensure_ascii=form == "escaped").encode()


@given(TRICKY, TRICKY, TRICKY, st.sampled_from(["csv", "json", "escaped"]), st.sampled_from(["user", "item"]))
def test_a_record_names_who_its_fields_are_and_nobody_else(
    user: str, item: str, wanted: str, form: str, kind: Any
) -> None:
    """In each way of writing it: quotes, doubled quotes, escapes; never by a part of an ID."""
    value = as_value([user, item, "1"], form)
    told = parse_value(value)
    subject = Subject(kind, wanted)
    named = wanted == (told.user if kind == "user" else told.item)
    assert subject.named_by(None, value) is (Named.YES if named else Named.NO)
    assert may_name(value, user.encode())
    assert may_name(value, item.encode())


@given(TRICKY, TRICKY, TRICKY, st.sampled_from(["csv", "json", "escaped"]))
def test_one_that_cannot_be_read_may_name_whose_bytes_it_has(user: str, item: str, wanted: str, form: str) -> None:
    value = as_value([user, item, "no number"], form)
    with pytest.raises(BadInteraction):
        parse_value(value)
    found = Subject("user", wanted).named_by(None, value)
    assert found == Subject("item", wanted).named_by(None, value)
    if wanted in {user, item}:
        assert found is Named.PERHAPS
    elif wanted not in value.decode() and "\\" not in value.decode() and '""' not in value.decode():
        assert found is Named.NO


UNREADABLE = {
    "an object": b'{"user":"%s","item":"tea","strength":"x"}',
    "tabs": b"%s\ttea\t5",
    "semicolons": b"%s;tea;5",
    "a byte order mark": b"\xef\xbb\xbf%s,tea,x",
    "a space before an array": b' ["%s","tea",1]',
    "single quotes": b"['%s','tea',1]",
    "spaces": b"%s , tea, x",
    "another order": b"event,%s,tea,x,1,2",
    "a number that is none": b'["%s","tea",NaN]',
    "an object in an array": b'["%s",{"a":1}]',
    "alone": b"%s",
    "cut": b'["%s","te',
    "latin-1": b"\xfc;%s;tea",
}


@pytest.mark.parametrize("form", UNREADABLE.values(), ids=UNREADABLE)
def test_the_bytes_of_an_id_are_found_in_whatever_form_a_record_is_and_never_in_a_longer_one(form: bytes) -> None:
    ann = Subject("user", "ann")
    assert ann.named_by(None, form % b"ann") is Named.PERHAPS
    assert ann.named_by(None, form % rb"\u0061nn") is Named.PERHAPS
    for other in ("anna", "joann", "änn", "annü", "ann1"):
        assert ann.named_by(None, form % other.encode()) is Named.NO
    number = Subject("item", "123")
    assert number.named_by(None, form % b"123") is Named.PERHAPS
    assert number.named_by(None, form % b"1234") is Named.NO
    assert number.named_by(None, form % b"0123") is Named.NO


def test_numbers_other_encodings_and_keys_are_looked_into() -> None:
    assert Subject("user", "123").named_by(None, b'[123,"tea","x"]') is Named.PERHAPS
    assert Subject("user", "bö").named_by(None, "bö;tea".encode("latin-1")) is Named.PERHAPS
    assert Subject("user", "bö").named_by(None, "bö;tea".encode("utf-16")) is Named.PERHAPS
    assert Subject("user", "😀").named_by(None, rb'["\ud83d\ude00","tea",NaN]') is Named.PERHAPS
    assert Subject("user", "ann").named_by(b"ann", b"\xff\xfe") is Named.YES
    assert Subject("user", "ann").named_by(b"user:ann", b"\xff\xfe") is Named.PERHAPS


@settings(max_examples=60, deadline=None)
@given(st.sets(TRICKY, min_size=1, max_size=30), TRICKY)
def test_a_table_of_ids_has_what_is_in_it(tmp_path_factory: pytest.TempPathFactory, ids: set[str], wanted: str) -> None:
    folder = tmp_path_factory.mktemp("table")
    write_ids(folder, "users", sorted(ids, key=str.encode))
    files, ascending = LocalFiles(folder.parent), sorted(ids, key=str.encode)
    row = row_of(files, folder.name, "users", wanted)
    assert row == (ascending.index(wanted) if wanted in ids else -1)
    assert [row_of(files, folder.name, "users", each) for each in ascending] == list(range(len(ids)))
    offsets, data = (f"{folder.name}/users.ids.{part}.npy" for part in ("offsets", "bytes"))
    assert list_has(files, offsets, data, wanted) == (wanted in ids)
    assert numbers_have(files, f"{folder.name}/users.ids.rows.npy", np.int32, len(ids) - 1)
    assert not numbers_have(files, f"{folder.name}/users.ids.rows.npy", np.int32, len(ids))
    (folder / "users.ids.bytes.npy").write_bytes(b"torn")
    with pytest.raises(Unreadable):
        row_of(files, folder.name, "users", wanted)
    with pytest.raises(Unreadable):
        list_has(files, offsets, data, wanted)
    with pytest.raises(Unreadable):
        numbers_have(files, f"{folder.name}/users.ids.bytes.npy", np.uint8, 1)


def test_every_forget_is_one_also_where_its_key_was_used_before() -> None:
    """Layers may ignore it, by their window; who takes it for one proves too little at worst, never too much."""
    forgotten = Forgotten(Subject("item", "tea"), 2)
    forgotten.add(0, 5, 50, b"k")
    assert not forgotten.repeated
    for _ in range(2):
        forgotten.add(0, 9, 90, b"k")
        forgotten.add(0, 5, 50, b"k")
        assert forgotten.offsets == {0: 9}
        assert forgotten.repeated == {0}
    assert not forgotten.complete
    assert forgotten.is_old(1, 100)
    forgotten.add(1, 7, 70, b"k")
    assert forgotten.complete
    assert forgotten.is_covered_by({0: 10, 1: 8})
    assert not forgotten.is_covered_by({0: 9, 1: 8})
    forgotten.add(0, 11, 110, None)
    assert forgotten.offsets == {0: 11, 1: 7}
    assert not forgotten.repeated


@pytest.mark.parametrize(("window_s", "ignored"), [(0.0, False), (86_400.0, True)], ids=["no-window", "in-the-window"])
def test_what_came_between_two_forgets_of_one_key_is_found_whether_or_not_layers_ignore_the_second(
    tmp_path: Path, window_s: float, ignored: bool
) -> None:
    place = Place(tmp_path, window_s)
    place.send("ann,tea,1", "bob,tea,1")
    place.send("ann,,", id_=b"gdpr-ann")
    place.send("ann,egg,1")
    place.send("ann,,", id_=b"gdpr-ann")
    proof = place.verify()
    assert not proof.proven
    assert proof.again == 0
    assert [left.what.split()[0] for left in proof.left] == ["2"], "what came between is among it"
    assert "has the idempotency key of an earlier record" in proof.notes[0]
    assert place.run() is Outcome.PUBLISHED
    assert (place.newest().users.find("ann") >= 0) == ignored
    place.trim()
    left = [left.what for left in place.verify().left if "without content" not in left.what]
    assert bool(left) == ignored
    place.send("ann,,", id_=b"another")
    assert not place.verify().notes


def test_keys_of_the_topic_alone_are_compared_too() -> None:
    for line, forget, subject in (
        ("ann,tea,1", "ann,,", Subject("user", "ann")),
        (",jam,", ",tea,", Subject("item", "tea")),
    ):
        for key in (b"k", b"other"):
            forgotten = Forgotten(subject, 1)
            told = [(line, b"k"), (forget, key), (line, b"k")]
            records = [
                Record("in", 0, offset, 0, None, value.encode(), (("id", id_),))
                for offset, (value, id_) in enumerate(told)
            ]
            for _ in range(2):
                scan_input(iter(records), subject, forgotten)
                assert forgotten.repeated == ({0} if key == b"k" else set())


@pytest.mark.parametrize(("window_s", "words"), [(0.0, "nothing is deduplicated"), (86_400.0, "as now with 86400")])
def test_rows_of_which_name_time_and_key_are_left_are_listed(tmp_path: Path, window_s: float, words: str) -> None:
    place = Place(tmp_path, window_s)
    path = place.folder / "history/data/planted.parquet"
    path.parent.mkdir(parents=True)
    place.send("ann,,", id_=b"own")
    told = [(HOME, -5, 9, b"mail-1", "ann", ""), (HOME, -4, 9, None, "ann", ""), (ANNAS, -3, 9, b"a", "anna", "")]
    rows = [dict(zip(HISTORY_SCHEMA.names, (*row, None, None, None), strict=True)) for row in told]
    rows.append({**rows[0], "offset": -2, "timestamp_ms": 9})  # an earlier forget, as REST clients' are
    pq.write_table(pa.Table.from_pylist(rows, HISTORY_SCHEMA), path)
    (left,) = place.verify().left
    assert left.what == "1 rows without content: name, time and key", "a forget without a key has none of these"
    assert place.verify("anna").left == ()
    kept = replace(Settings(), input=Input(dedupe_window_s=window_s))
    assert words in Until(kept, forgotten=True).husks()


def test_a_users_forget_counts_in_its_own_partition_alone() -> None:
    forgotten = Forgotten(Subject("user", "ann"), 3)
    home = partition_of("ann", 3)
    forgotten.add((home + 1) % 3, 5, 50, None)
    assert forgotten.offsets == {}


class Place(BatchWorld):
    """Topics, history and store of a batch layer that forgets, and the settings that lead to them."""

    def __init__(self, folder: Path, window_s: float = 86_400.0) -> None:
        super().__init__(folder)
        self.use(replace(self.recipe, fold=replace(self.recipe.fold, dedupe_window_s=window_s)))
        for topic in ("items", "in.dead-letter"):
            self.log.create(TopicSpec(topic, 1, 1, {}))
        self.prune = Pruner(
            log=self.history,
            folder=self.history_folder,
            engine=self.engine,
            registry=self.registry,
            store=self.store,
            limits=Limits(),
            fold=self.recipe.fold,
            clock=SystemClock(),
            rng=np.random.default_rng(1),
        )
        environ = {"LOCAL__DIR": folder, "INPUT__TOPIC": "in", "UPDATE__TOPIC": "up", "ITEMS__TOPIC": "items"}
        self.settings: Settings = load(None, {f"ORYX__{name}": str(value) for name, value in environ.items()}).settings

    def verify(self, id_: str = "ann", kind: Any = "user") -> Proof:
        return Verifier(
            self.settings,
            Subject(kind, id_),
            admin=FakeAdmin(self.log),
            new_consumer=lambda group: FakeConsumer(self.log, group),
        )()

    def trim(self) -> None:
        admin = FakeAdmin(self.log)
        for topic in ("in", "up"):
            admin.trim(topic, admin.end_offsets(topic))

    def put(
        self, topic: str, value: bytes | None, key: bytes | None = None, partition: int = 0, **headers: int
    ) -> None:
        producer = FakeProducer(self.log)
        told = tuple((name.replace("_", "-"), str(number).encode()) for name, number in headers.items())
        producer.send(topic, value, key=key, partition=partition, headers=told)
        producer.flush(10)
        producer.close()

    def update(self, update: Update) -> None:
        message = encode(update)
        producer = FakeProducer(self.log)
        producer.send("up", message.value, key=message.key, headers=message.headers, partition=0)
        producer.flush(10)
        producer.close()


HOME, ANNAS = (partition_of(user, Place.PARTITIONS) for user in ("ann", "anna"))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Ann and tea are known and in a generation; anna and tea2 are somebody else."""
    place = Place(tmp_path)
    place.send("ann,tea,1", "ann,jam,1", "anna,tea2,1", "bob,tea,1", "bob,jam,2")
    assert place.run() is Outcome.PUBLISHED
    return place


def forget(place: Place) -> None:
    place.send("ann,,", ",tea,")
    place.send("bob,egg,1")


def clean(place: Place) -> None:
    """As it is when the generations after the forget are there, and the older ones and the topics' beginnings gone."""
    forget(place)
    first = place.newest().name
    assert place.run() is Outcome.PUBLISHED
    place.store.delete(first)
    place.trim()


def test_who_was_never_forgotten_is_everywhere_and_that_is_said(place: Place) -> None:
    proof = place.verify()
    assert not proof.proven
    assert [left.place.rpartition("/")[2][:2] for left in proof.left] == ["in", "pa", place.newest().name[:2]]
    assert all("it is forgotten" in left.until for left in proof.left)
    assert proof.notes == ("no forget of this user is in the input topic or the history",)


def test_who_was_never_known_is_proven_to_be_nowhere(place: Place) -> None:
    proof = place.verify("an")
    assert (proof.proven, proof.forgotten, proof.again) == (True, {}, 0)


def test_a_forget_under_the_key_of_whatever_came_before_it_may_have_been_ignored(place: Place) -> None:
    """Among a user's records, or among nobody's, which items' forgets are: so keys are compared."""
    for user, key in (("dan", b"order-1"), ("eve", b"order-1"), ("fay", b"order-1")):
        place.send(f"{user},tea,1", id_=key)
    place.send(",jam,", id_=b"gdpr")
    assert place.run() is Outcome.PUBLISHED
    place.send("dan,,", id_=b"order-1")
    place.send("eve,,", id_=b"order-2")
    place.send(",tea,", id_=b"gdpr")
    place.send("dan,egg,1", "bob,egg,1", id_=b"order-3")

    def ignored(id_: str, kind: str = "user") -> bool:
        return any("may have been ignored" in note for note in place.verify(id_, kind).notes)

    found = [ignored("dan"), ignored("eve"), ignored("tea", "item"), ignored("jam", "item")]
    assert found == [True, False, True, False]
    assert place.run() is Outcome.PUBLISHED
    place.trim()
    assert found == [ignored("dan"), ignored("eve"), ignored("tea", "item"), ignored("jam", "item")]


@pytest.mark.parametrize(("id_", "kind"), [("ann", "user"), ("tea", "item")])
def test_after_a_forget_each_place_is_listed_and_after_the_next_generations_and_trims_none(
    place: Place, id_: str, kind: str
) -> None:
    forget(place)
    first = place.newest().name
    proof = place.verify(id_, kind)
    assert len(proof.left) == 3
    assert [text for left in proof.left for text in ("batch.trim_keep_s", "rewritten", "keep_generations")
            if text in left.until] == ["batch.trim_keep_s", "rewritten", "keep_generations"]  # fmt: skip
    assert place.run() is Outcome.PUBLISHED
    assert {left.place.rpartition("/")[2] for left in place.verify(id_, kind).left} == {"in", first}
    place.store.delete(first)
    place.trim()
    proof = place.verify(id_, kind)
    assert proof.proven, proof.left
    assert sorted(proof.forgotten) == ([HOME] if kind == "user" else [0, 1, 2])
    assert not place.verify("bob").proven
    assert not place.verify("jam", "item").proven


def test_what_is_learned_after_the_forget_is_no_leftover(place: Place) -> None:
    clean(place)
    place.send("ann,egg,1", "bob,tea,1")
    assert place.run() is Outcome.PUBLISHED
    assert "ann" in place.newest().users.ids(range(len(place.newest().users)))
    for id_, kind in (("ann", "user"), ("tea", "item")):
        proof = place.verify(id_, kind)
        assert (proof.proven, proof.again) == (True, 1), proof.left


def test_a_generation_that_has_somebody_without_cause_is_found(place: Place) -> None:
    """It covers the forget, nothing came since: whoever made it was wrong."""
    clean(place)
    place.send("ann,egg,1")
    assert place.run() is Outcome.PUBLISHED
    for file in place.history.read().files:
        path = place.folder / "history" / file.path
        rows = pq.read_table(path)
        pq.write_table(rows.filter(pc.not_equal(rows.column("user"), "ann")), path)
    place.trim()
    (left,) = [left for left in place.verify().left if "generations" in left.place]
    assert "a row among its users" in left.what


def rows_file(place: Place, user: str, item: str) -> bytes:
    row = dict(zip(HISTORY_SCHEMA.names, (HOME, -5, 0, None, user, item, 1.0, None, None), strict=True))
    path = place.folder / "planted.parquet"
    pq.write_table(pa.Table.from_pylist([row], HISTORY_SCHEMA), path)
    return path.read_bytes()


def in_history(name: str) -> Callable[[Place, str, str], None]:
    def plant(place: Place, user: str, item: str) -> None:
        path = place.folder / "history/data/planted" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(rows_file(place, user, item))

    return plant


def a_generation(*where: str) -> Callable[[Place, str, str], None]:
    """A whole generation of a history without the forget, in one of the places where such are kept."""

    def plant(place: Place, user: str, item: str) -> None:
        other = Place(place.folder / "other")
        other.send(f"{user},{item},1", "zed,egg,1")
        assert other.run() is Outcome.PUBLISHED
        made = other.store.local(other.newest().name)
        shutil.copytree(made, place.folder.joinpath(*where, made.name))
        shutil.rmtree(place.folder / "other")

    return plant


def an_update(make: Callable[[str, str], Update]) -> Callable[[Place, str, str], None]:
    return lambda place, user, item: place.update(make(user, item))


def a_record(
    topic: str, value: str, key: str | None = None, partition: int = 0, **headers: int
) -> Callable[[Place, str, str], None]:
    def plant(place: Place, user: str, item: str) -> None:
        names = {"user": user, "item": item}
        told = None if key is None else (key % names).encode()
        place.put(topic, (value % names).encode(), told, partition, **headers)

    return plant


GONE = '{"epoch":1,"w":null,"t":null,"x":null,"input":0}'
NOBODY = (HOME + 1) % Place.PARTITIONS
STATE = '{"epoch":1,"w":1.0,"t":1.0,"x":[1],"input":0}'
PLANTED: dict[str, tuple[Callable[[Place, str, str], None], str]] = {
    "a misplaced record": (a_record("in", "%(user)s,%(item)s,1", partition=NOBODY), "user"),
    "an unreadable record": (a_record("in", "%(user)s,%(item)s,NaN", partition=NOBODY), "user"),
    "the key of an unreadable record": (a_record("in", "x", "%(user)s", NOBODY), "user"),
    "a file of the history": (in_history("part-0.parquet"), "both"),
    "a file being written": (in_history(".part-0.parquet.00.tmp"), "both"),
    "a generation": (a_generation("store", "generations"), "both"),
    "a staged generation": (a_generation("store", "generations", ".staged"), "both"),
    "a generation being removed": (a_generation("store", "generations", ".deleted"), "both"),
    "a copy": (a_generation("cache"), "both"),
    "a copy being evicted": (a_generation("cache", ".evicted"), "both"),
    "a user's update": (an_update(lambda user, item: UserVector(user, None, (item,), (1.0,), 1, 0)), "both"),
    "an update without offset": (an_update(lambda user, item: UserVector(user, None, (item,), (1.0,), 1)), "both"),
    "an item's update": (an_update(lambda user, item: ItemVector(item, None, (user,), 1)), "none"),
    "an update of Oryx 2": (a_record("up", '["X","%(user)s",[1],["%(item)s"]]', "UP"), "both"),
    "an unreadable update": (a_record("up", '["X","%(user)s",[1],["%(item)s"]', "UP"), "both"),
    "an item's state": (a_record("items", STATE, '["%(item)s","%(user)s"]'), "both"),
    "a pair that is gone": (an_update(lambda user, item: UserGone(user, (item,), 1, 0)), "both"),
    "a state that a pair is gone": (a_record("items", GONE, '["%(item)s","%(user)s"]'), "both"),
    "an inline model of Oryx 2": (a_record("up", "<PMML>%(user)s</PMML>", "MODEL"), "any"),
    "a model of Oryx 2": (a_record("up", "/models/1/model.pmml", "MODEL-REF"), "any"),
    "a dead letter": (a_record("in.dead-letter", "%(user)s,%(item)s,NaN", f"{HOME}:0"), "both"),
    "a dead letter without place": (a_record("in.dead-letter", "%(user)s,%(item)s,NaN"), "both"),
    "a dead letter that was cut": (a_record("in.dead-letter", '["%(user)s","%(item)s","', f"{HOME}:0"), "both"),
}


@pytest.mark.parametrize("what", PLANTED, ids=lambda what: what.replace(" ", "-").replace("'", ""))
def test_whatever_has_somebody_forgotten_is_found_and_who_is_nearly_called_so_is_not(place: Place, what: str) -> None:
    clean(place)
    assert place.verify().proven
    assert place.verify("tea", "item").proven
    plant, of = PLANTED[what]
    plant(place, "anna", "tea2")
    if "unreadable update" not in what and of != "any":  # of which nothing is known, or nothing but its bytes
        assert place.verify().proven, place.verify().left
        assert place.verify("tea", "item").proven
    plant(place, "ann", "tea")
    found = tuple(bool(place.verify(id_, kind).left) for id_, kind in (("ann", "user"), ("tea", "item")))
    assert found == {"user": (True, False), "none": (False, False)}.get(of, (True, True))


def test_of_a_state_that_a_pair_is_gone_the_input_says_or_the_time_whether_it_is_old() -> None:
    """Those of an item's own forget, and of how far a partition's users are, name no pair."""
    subject = Subject("user", "3")
    forgotten = Forgotten(subject, 1)
    forgotten.add(0, 5, 50, None)

    def of(key: bytes, value: bytes | None, at_ms: int = 99) -> list[tuple[str, int]]:
        record = Record("items", 0, 0, at_ms, key, value, ())
        return [(what, held.count) for what, held, _ in scan_items(iter([record]), subject, forgotten).left()]

    gone = b'{"epoch":1,"w":null,"input":%d}'
    assert of(b'["film","3"]', gone % 4) == [("pairs that are gone, by name", 1)]
    assert of(b'["film","3"]', gone % 5) == [], "the forget's own"
    assert of(b'["film","3"]', None, 49) == [("pairs that are gone, by name", 1)]
    assert of(b'["film","3"]', None) == []
    assert of(b'["","3"]', gone % 0) == []
    subject, forgotten = Subject("item", "film"), Forgotten(Subject("item", "film"), 1)
    assert of(b'["film",""]', gone % 0) == []


@pytest.mark.parametrize("name", ["part-1.parquet", ".part-1.parquet.ff.tmp"])
def test_a_file_that_cannot_be_read_proves_nothing(place: Place, name: str) -> None:
    clean(place)
    in_history(name)(place, "x", "y")
    path = place.folder / "history/data/planted" / name
    path.write_bytes(path.read_bytes()[:-9])
    (left,) = place.verify().left
    assert "cannot be looked into" in left.what


def test_half_a_generation_and_what_a_run_left_prove_nothing(place: Place) -> None:
    """Files of runs that began after the history had been rewritten are of it."""
    clean(place)
    staged = place.folder / "store/generations/.staged/20260101T000000000-00000000"
    staged.mkdir(parents=True)
    (staged / "users.npy").write_bytes(b"x")
    (left,) = place.verify().left
    assert "no whole generation" in left.what
    shutil.rmtree(staged)
    for name in ("spark-1/blocks", "oryx-import-1/rows.parquet", "oryx-rewrite-1/rows.parquet"):
        written = work_of(place.settings).folder / name
        written.parent.mkdir(parents=True)
        written.write_bytes(b"x")
        assert place.verify().proven
        os.utime(written, (1, 1))
        (left,) = place.verify().left
        assert "not looked into" in left.what
        written.unlink()


def test_where_spark_spills_by_the_users_settings_is_looked_at_and_where_executors_do_is_said(place: Place) -> None:
    clean(place)
    theirs = place.folder / "disk"
    for name in ("spark-1", "somebody's"):
        (theirs / name).mkdir(parents=True)
        (theirs / name / "rows").write_bytes(b"x")
        os.utime(theirs / name / "rows", (1, 1))
    batch = replace(place.settings.batch, spark={"spark.local.dir": str(theirs)})
    place.settings = replace(place.settings, batch=batch)
    (left,) = place.verify().left
    assert left.place == str(theirs / "spark-1")
    assert "executors" not in " ".join(place.verify().not_looked_into)
    place.settings = replace(place.settings, batch=replace(batch, spark={}, spark_master="yarn"))
    assert "local directories of executors" in " ".join(place.verify().not_looked_into)


def test_what_is_not_looked_into_is_said_also_where_all_is_proven() -> None:
    of = Settings(update=Updates(dialect="oryx2"))
    proof = Proof(
        kind="user",
        id="ann",
        proven=True,
        forgotten={0: 1},
        left=(),
        again=0,
        looked_at=("all",),
        not_looked_into=not_looked_into(of),
    )
    out, err = StringIO(), StringIO()
    _show(Screen(out, err), proof, as_json=False)
    assert out.getvalue().startswith("proven")
    (line,) = [line for line in err.getvalue().splitlines() if line.startswith("not looked into: ")]
    for words in ("logs", "segments of Kafka", "other hosts", "backups", "Oryx 2's batch layer"):
        assert words in line
    _show(Screen(out, err), proof, as_json=True)
    assert json.loads(out.getvalue().splitlines()[-1])["not_looked_into"] == list(proof.not_looked_into)


def test_a_folder_that_nobody_knows_proves_nothing(place: Place) -> None:
    clean(place)
    (place.folder / "store" / "later").mkdir()
    (left,) = place.verify().left
    assert "does not know" in left.what


def checkpoint(
    place: Place,
    name: str,
    covers: int,
    *told: Interaction,
    of: Collection[int] | None = None,
    states: StateRows | None = None,
) -> Path:
    """A checkpoint of what the speed layer has after these, one a record from offset 0 on, each where it belongs.

    Of some input partitions alone where these are given.
    """
    generation = place.newest()
    fold, partitions = ExactFold(ModelState(generation, 1), place.PARTITIONS), range(place.PARTITIONS)
    for offset, interaction in enumerate(told):
        homes = [partition_of(interaction.user, place.PARTITIONS)] if interaction.user else partitions
        for partition in homes:
            fold.add(interaction, partition, 1_000 + offset, 0)
    fold.flush()
    path = place.folder / "store" / "checkpoints" / name
    path.mkdir(parents=True)
    has = frozenset(partitions if of is None else of)
    write_checkpoint(
        path,
        name=name,
        epoch=1,
        generation=generation,
        created_ms=0,
        covered=Covered(input=dict.fromkeys(has, covers), live=[], update={}),
        changes=merged([Piece(fold.state.dump(), has)], generation, place.PARTITIONS),
        ids={},
        states=states,
    )
    return path


@pytest.mark.parametrize(("id_", "kind"), [("ann", "user"), ("tea", "item")])
def test_checkpoints_below_the_forget_are_found(place: Place, id_: str, kind: str) -> None:
    """An ID that the generation has is there by its row's number; one that it lacks, by itself."""
    path = checkpoint(place, "0000000001-a", 0, Interaction("ann", "tea", 1.0), Interaction("new", "pie", 1.0))
    forget(place)
    place.send("new,,", ",pie,")
    found = {left.place.rpartition("/")[2]: left.what for left in place.verify(id_, kind).left}
    assert "what changed" in found[path.name]
    new = {left.place.rpartition("/")[2]: left.what for left in place.verify(*(
        ("new", "user") if kind == "user" else ("pie", "item"))).left}  # fmt: skip
    assert "its ID, and what" in new[path.name]
    shutil.copytree(path.parent, place.folder / "cache" / ".checkpoints")
    found = [left.place for left in place.verify(id_, kind).left if path.name in left.place]
    assert [".checkpoints" in where for where in found] == [False, True]
    (path / "pairs.users.npy").write_bytes(b"torn")
    (path / "pairs.items.npy").write_bytes(b"torn")
    assert any("cannot be looked into" in left.what for left in place.verify(id_, kind).left)
    (path / "manifest.json").unlink()
    assert any("no whole checkpoint" in left.what for left in place.verify(id_, kind).left)


def test_one_of_several_checkpoints_is_asked_for_its_own_partitions_alone(place: Place) -> None:
    """A user of another partition is in it only with what he is said to say of new items."""
    clean(place)
    home = partition_of("ann", place.PARTITIONS)
    elsewhere = set(range(place.PARTITIONS)) - {home}
    path = checkpoint(place, "0000000002-a", 0, Interaction("ann", "new", 1.0), of=elsewhere)
    assert not [left for left in place.verify().left if path.name in left.place]
    zeros, k = np.zeros(1, np.int64), place.newest().manifest.features
    said = StateRows(["new"], ["ann"], zeros, zeros, np.ones(1), np.ones((1, k), np.float32))
    path = checkpoint(place, "0000000002-b", 0, of=elsewhere, states=said)
    (left,) = [left for left in place.verify().left if path.name in left.place]
    assert "among the states of items" in left.what
    for kind, id_, user in (("user", "ann", "ann"), ("item", "new", "bob")):
        place.send(f"{user},new,1")
        if kind == "item":
            place.send(",new,", "bob,new,1")
        proof = place.verify(id_, kind)
        assert proof.again == 1
        assert [left.what for left in proof.left if path.name in left.place] == [left.what], "what came since is newer"
    shutil.rmtree(path)
    ends = place.verify("new", "item").forgotten
    newer = np.full(1, 1 + max(ends.values()), np.int64)
    said = StateRows(["new"], ["ann"], zeros, newer, np.ones(1), np.ones((1, k), np.float32))
    path = checkpoint(place, "0000000002-b", 0, of=elsewhere, states=said)
    for id_, kind in (("ann", "user"), ("new", "item")):
        assert not [left for left in place.verify(id_, kind).left if "states" in left.what]
    home = {partition_of("bob", place.PARTITIONS)}
    path = checkpoint(place, "0000000002-c", 10**6, Interaction("bob", "tea", 1.0), of=home)
    (left,) = [left for left in place.verify("tea", "item").left if path.name in left.place]
    assert left.what == "its ID", "of one partition it has all, the forget too"


@pytest.mark.parametrize(
    ("interval_s", "words"),
    [(120, "2 newer ones have its input partitions"), (0, "two more epochs begin")],
    ids=["written", "none-written"],
)
def test_checkpoints_above_the_forget_have_no_id_but_those_of_earlier_versions(
    place: Place, interval_s: float, words: str
) -> None:
    clean(place)
    told = [Interaction("bob", "egg", 1.0), Interaction("new", "pie", 1.0)]
    path = checkpoint(place, "0000000002-a", 10**6, *told)
    assert place.verify().proven
    assert place.verify("tea", "item").proven
    place.send("new,,", ",pie,")
    place.settings = replace(place.settings, speed=replace(place.settings.speed, checkpoint_interval_s=interval_s))
    for kind, id_ in (("user", "new"), ("item", "pie")):
        (left,) = [left for left in place.verify(id_, kind).left if path.name in left.place]
        assert left.what == "its ID"
        assert words in left.until
    shutil.rmtree(path)
    path = checkpoint(place, "0000000002-b", 10**6, *told, Interaction("new", "", None), Interaction("", "pie", None))
    for kind, id_ in (("user", "new"), ("item", "pie")):
        assert not [left for left in place.verify(id_, kind).left if path.name in left.place]


def test_updates_that_say_that_somebody_is_gone_are_forgets_and_what_is_below_them_is_old(place: Place) -> None:
    forget(place)
    first = place.newest().name
    place.run()
    place.store.delete(first)
    place.trim()
    offset = place.verify("tea", "item").forgotten[partition_of("bob", Place.PARTITIONS)]
    place.update(UserGone("ann", None, 1, 99))
    place.update(UserGone("bob", ("tea",), 1, offset))
    place.update(UserVector("bob", None, ("tea",), (1.0,), 1, offset + 1))
    assert place.verify().proven
    assert place.verify("tea", "item").proven
    place.update(ItemVector("tea", None, (), 1))  # later than the forget: learned anew
    assert place.verify("tea", "item").proven
    place.update(ItemGone("tea", 1))
    assert len(place.verify("tea", "item").left) == 1, "it was sent before the forget reached the layer"


def test_without_trimming_it_is_for_ever(place: Place) -> None:
    forget(place)
    place.settings = replace(place.settings, batch=replace(place.settings.batch, trim=False))
    assert "for ever" in place.verify().left[0].until


@pytest.mark.parametrize(
    ("trim_keep_s", "window_s", "when", "why"),
    [
        (60.0, 0.0, "1970-01-01 00:02", "batch.trim_keep_s = 60"),
        (60.0, 86_400.0, "1970-01-02 00:01", "input.dedupe_window_s = 86400"),
        (86_400.0, 60.0, "1970-01-02 00:01", "batch.trim_keep_s = 86400"),
    ],
    ids=("no-window", "longer-window", "longer-keeping"),
)
def test_records_are_in_the_input_as_long_as_they_are_kept_or_their_keys_may_be_repeated(
    trim_keep_s: float, window_s: float, when: str, why: str
) -> None:
    kept = replace(Settings(), batch=Batch(trim_keep_s=trim_keep_s), input=Input(dedupe_window_s=window_s))
    words = Until(kept, forgotten=True).input(Held(1, newest_ms=60_000))
    assert f"after {when} UTC" in words
    assert why in words


def test_what_trimming_waits_for_is_said(place: Place) -> None:
    forget(place)
    assert "input partitions 0, 1, 2 and no epoch is live" in place.verify().left[0].until
    where = [("in", partition) for partition in range(place.PARTITIONS)]
    FakeConsumer(place.log, place.settings.speed.group_id).commit(dict.fromkeys(where[:2], 0))
    assert "has no position in input partitions 2 and no" in place.verify().left[0].until
    FakeConsumer(place.log, place.settings.speed.group_id).commit(dict.fromkeys(where, 0))
    assert place.verify().left[0].until.endswith("not before the speed layer has run: no epoch is live")
    message = encode(Progress({0: 0, 1: 0, 2: 0}, {0: True, 1: True, 2: True}, 1))
    for partition in (0, 1):
        place.put("up", message.value, message.key, partition, epoch=1)
    assert "not before" not in place.verify().left[0].until


@pytest.mark.parametrize("line", [[1, 2, 3], [1, 2, 3, 4, 5, 2], [1, 2, 3, 4, 5, 6, 2], [1, 2, 1]])
def test_until_when_a_generation_stays_is_what_deleting_does(line: list[int]) -> None:
    """Also after a rollback: the generation gone back to is what a second one would go back to."""
    registry, names = Registry.fold([]), [f"g{number:02}" for number in line]
    for number, name in enumerate(names):
        states = [] if name in names[:number] else [GenerationState(name, "published", "")]
        registry = registry.after([*states, EpochStarted(number + 1, name, {}, 0)])
    said = generations_until_deleted(registry, sorted(set(names)), 5)
    assert said.keys() == set(names)
    for more in range(1, 9):
        registry = registry.after(
            [GenerationState(f"h{more}", "published", ""), EpochStarted(len(line) + more, f"h{more}", {}, 0)]
        )
        there = sorted({*names, *(f"h{number}" for number in range(1, more + 1))})
        gone = outlived(registry, there, {entry.generation for entry in registry.epochs[-2:]}, 5)
        assert {name for name, number in said.items() if number <= more} == gone_of(names, gone)


def gone_of(names: list[str], gone: list[str]) -> set[str]:
    return set(names) & set(gone)


def asked_of(*arguments: str) -> tuple[Any, list[Asked]]:
    reply = Reply(204, headers={"X-Oryx-Offset": "1:7"})
    with scripted(lambda _: reply) as there:
        result = CliRunner().invoke(app, ["forget", *arguments, "--url", there.url])
    return result, there.asked


@pytest.mark.parametrize(("arguments", "path"), [(["a/b"], "/user/a%2Fb"), (["--item", "ü"], "/item/%C3%BC")])
def test_a_forget_is_sent_and_its_place_printed(arguments: list[str], path: str) -> None:
    result, asked = asked_of(*arguments)
    assert (result.exit_code, result.stdout) == (0, "1:7\n")
    assert [(each.method, each.path) for each in asked] == [("DELETE", path)]


@pytest.mark.parametrize("arguments", [[""], ["a\x01b"], ["x" * 1025], []], ids=["empty", "control", "long", "nobody"])
def test_what_is_no_id_is_refused(arguments: list[str]) -> None:
    result, asked = asked_of(*arguments)
    assert (result.exit_code, asked) == (2, [])


def test_nothing_is_proven_where_kafka_is_away(tmp_path: Path) -> None:
    env = {"ORYX__LOCAL__DIR": str(tmp_path)}
    result = CliRunner().invoke(app, ["forget", "--verify", "ann"], env=env)
    assert result.exit_code == 2
    assert "no broker runs" in result.stderr
