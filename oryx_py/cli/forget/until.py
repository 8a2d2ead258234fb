"""Until when a place keeps what was forgotten, in words. Pure."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from oryx_py.cli.forget.proof import Held
from oryx_py.cli.forget.standing import Standing
from oryx_py.config import Settings

__all__ = ["Until"]


@dataclass(frozen=True, slots=True)
class Until:
    """Says it by the settings.

    Args:
        settings: of the layers.
        forgotten: whether it was forgotten at all; what was not is kept.
        standing: what trimming waits for.
    """

    settings: Settings
    forgotten: bool
    standing: Standing = field(default_factory=Standing)

    def input(self, held: Held) -> str:
        """Of records of the input topic, which has them while the key of one may be repeated, too."""
        window_s, kept_s = self.settings.input.dedupe_window_s, self.settings.batch.trim_keep_s
        then = "trims the input, when a generation has what came until then, and the speed layer has read it"
        unwritten = ", ".join(map(str, self.standing.unwritten))
        no_position = f"its group has no position in input partitions {unwritten}" if unwritten else ""
        if window_s > kept_s:
            return self._trimmed(held, then, window_s, "input.dedupe_window_s", no_position)
        return self._trimmed(held, then, kept_s, "batch.trim_keep_s", no_position)

    def updates(self, held: Held) -> str:
        """Of records of the update topic."""
        then = "trims the topic, below the epoch before the newest"
        return self._trimmed(held, then, self.settings.batch.trim_keep_s, "batch.trim_keep_s")

    def items(self, held: Held) -> str:
        """Of item states, trimmed by the time of an epoch, where clocks may differ by an hour."""
        then = "trims the topic, up to an hour before the epoch before the newest"
        return self._trimmed(held, then, self.settings.batch.trim_keep_s, "batch.trim_keep_s")

    def models(self) -> str:
        """Of models in the update topic that an Oryx 2 batch layer has made."""
        return self._kept(
            "the topic's own retention lets it go: Oryx 2's batch layer knows no forgets, so look yourself whether the "
            "model has it, and its newer ones"
        )

    def dead_letters(self, _held: Held) -> str:
        """Of dead letters."""
        return self._kept("for ever: nothing trims dead letters; remove them with Kafka's own kafka-delete-records")

    def history(self) -> str:
        """Of committed files of rows."""
        return self._kept("the next generation, before which the file is rewritten: `oryx batch --once` makes one now")

    def husks(self) -> str:
        """Of rows in which nothing is left but who, when and under which key, as a later record may repeat it."""
        window_s = self.settings.input.dedupe_window_s
        if not window_s:
            return self._kept("the next generation, as nothing is deduplicated (input.dedupe_window_s = 0)")
        return self._kept(
            "a generation is made with input.dedupe_window_s = 0: while it is above, as now with "
            f"{window_s:g}, nothing takes such rows away, also when the window has passed"
        )

    def rubbish(self) -> str:
        """Of files that no commit names, and of generations that are not whole."""
        return self._kept("the next run of the batch layer, which sweeps it: `oryx batch --once` does one now")

    def generation(self, more: int | None) -> str:
        """Of a generation that is deleted after so many more; None where the registry does not know it."""
        keeps = f"store.keep_generations = {self.settings.store.keep_generations}, and two at least"
        if more is None:
            return self._kept(f"a run of the batch layer publishes or removes it; then as others ({keeps})")
        are = "generation is" if more == 1 else "generations are"
        return self._kept(f"{more} more {are} published, and a newer one is live: {keeps}")

    def checkpoint(self, *, whole: bool) -> str:
        """Of a checkpoint in the store."""
        speed, remove = self.settings.speed, "or remove its folder: at worst a start takes longer"
        if not speed.checkpoint_interval_s:
            none = "the speed layer writes no newer ones (speed.checkpoint_interval_s = 0)"
            return self._kept(f"two more epochs begin, as {none}; {remove}")
        if not whole:
            return self._kept(f"it has been there for an hour, and a whole one is written; {remove}")
        return self._kept(
            f"{speed.checkpoints_kept} newer ones have its input partitions (speed.checkpoints_kept): the speed layer "
            f"writes one every {speed.checkpoint_interval_s:g} s (speed.checkpoint_interval_s) in which something came "
            f"in, and after a forget; {remove}"
        )

    def checkpoint_copy(self) -> str:
        """Of a copy on this host of a checkpoint."""
        return self._kept(
            "the store has deleted it, and this host copies another one, as a start does; "
            "or remove its folder: at worst a start takes longer"
        )

    def copy(self, *, stored: bool) -> str:
        """Of a copy on this host of a generation that the store has, or no longer has."""
        if stored:
            return self._kept("the store has deleted the generation, and this host loads another one")
        return self._kept("this host loads another generation; or stop its layers and remove the folder")

    def work(self) -> str:
        """Of what a run of the batch layer has left."""
        return self._kept("the batch layer's process ends, or begins its next run")

    def _trimmed(self, held: Held, then: str, seconds: float, setting: str, no_position: str = "") -> str:
        if not self.settings.batch.trim:
            return self._kept("for ever: batch.trim = false")
        text = f"a run of the batch layer after {_day(held, seconds)} {then} ({setting} = {seconds:g})"
        if not self.standing.published:
            text += "; not before a generation is published"
        elif waits := [reason for reason in (no_position, "" if self.standing.live else "no epoch is live") if reason]:
            text += f"; not before the speed layer has run: {' and '.join(waits)}"
        return self._kept(text)

    def _kept(self, text: str) -> str:
        return text if self.forgotten else "it is forgotten: `oryx forget` does it"


def _day(held: Held, seconds: float) -> str:
    """So long after the newest."""
    earliest = held.newest_ms / 1000 + seconds
    return f"{datetime.fromtimestamp(earliest, UTC):%Y-%m-%d %H:%M} UTC" if held.newest_ms >= 0 else "some time"
