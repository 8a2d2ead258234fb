"""Somebody new sees what is popular, then lists that follow from what they like."""

from urllib.parse import parse_qs, urlsplit

from oryx_py.cli.demo.newcomer import Step, liked_things, likes, strong
from oryx_py.cli.demo.story import Story
from oryx_py.client import Client
from oryx_py.events import Interaction
from tests.unit.cli.scripted_service import Asked, Reply, scripted

TRAINED = [
    *(Interaction(f"u{n}", f"i{n % 7}", float(n % 5 + 1), n) for n in range(100)),
    *(Interaction(f"v{n}", "i3", 1.0, 100) for n in range(5)),
]


def test_three_well_known_things_of_one_genre_are_liked() -> None:
    genres = {"i1": ["Animation"], "i3": ["Animation", "War"], "i4": ["Animation"], "i6": ["Animation"], "i0": ["War"]}
    with scripted(lambda _: Reply(500)) as there, Client(there.url) as service:
        assert liked_things(Story("s", TRAINED, {}, genres), TRAINED, service) == ["i3", "i1", "i4"]


def test_without_genres_the_model_says_what_goes_with_a_well_known_thing() -> None:
    alike = [{"id": "i6", "value": 0.9}, {"id": "i5", "value": 0.8}]
    with scripted(lambda _: Reply(body=alike)) as there, Client(there.url) as service:
        assert liked_things(Story("s", TRAINED), TRAINED, service) == ["i3", "i6", "i5"]
    assert there.asked[0].path == "/similarity/i3?howMany=2"


def test_a_strong_like_is_what_one_in_ten_reaches() -> None:
    assert strong([Interaction("u", "i", float(n)) for n in range(1, 11)]) > 9


def test_the_list_before_is_what_is_popular_and_each_later_one_waits_for_its_like() -> None:
    liked: list[str] = []

    def script(asked: Asked) -> Reply:
        parts = urlsplit(asked.path)
        after = parse_qs(parts.query).get("after")
        if asked.method == "POST":
            assert parts.path.startswith("/pref/demo%2Fnewcomer/")
            assert asked.body == b"5"
            liked.append(parts.path.rpartition("/")[2])
            return Reply(204, headers={"X-Oryx-Offset": f"1:{len(liked)}"})
        if parts.path == "/mostPopularItems":
            return Reply(body=[{"id": "p1", "count": 9}, {"id": "p2", "count": 8}])
        assert after == ([f"1:{len(liked)}"] if liked else None)
        if not liked:
            return Reply(404, {"detail": "unknown user demo/newcomer"})
        return Reply(body=[{"id": f"after {liked[-1]}", "value": 1.0}])

    ticks = iter([0.0, 0.002, 0.01, 1.0, 1.004, 1.02])
    with scripted(script) as there, Client(there.url) as service:
        steps = list(likes(["i1", "i2"], 5.0, service, lambda: next(ticks)))
    assert [(step.liked, step.best) for step in steps] == [
        (None, ["p1", "p2"]),
        ("i1", ["after i1"]),
        ("i2", ["after i2"]),
    ]
    assert steps[0] == Step(None, ["p1", "p2"])
    assert [(round(step.stored_ms, 6), round(step.seen_ms, 6)) for step in steps[1:]] == [(2.0, 10.0), (4.0, 20.0)]
