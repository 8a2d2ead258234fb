"""Epochs come and go for years: nothing is kept of those that were left."""

from pathlib import Path

from tests.support.speed import fake_world


def test_nothing_is_kept_of_an_epoch_that_was_left(tmp_path: Path) -> None:
    with fake_world(tmp_path, "years") as world:
        layer, known = None, set[str]()
        for number in range(6):
            epoch = world.publish(f"g{number}", {"a": {"p": 1.0}}, ["p", "q"], {}, seed=number)
            layer = layer or world.start()
            world.settle(layer, epoch)
            held = layer._held
            kept = {name: len(value) for name, value in vars(held).items() if isinstance(value, dict)}
            known |= {name for name, count in kept.items() if count}
            assert all(count <= len(held.runs) for count in kept.values()), kept
        assert known == {"_replay_targets", "_live_everywhere_at"}
        assert layer is not None
        layer.close()
