"""Looks for somebody forgotten wherever this project keeps anything.

1. the newest forget, in the history and in the input topic;
2. what the input topic has below it;
3. what the history's files have below it, those that no commit names among them;
4. updates, item states, dead letters;
5. generations in the store, whole and not, this host's copies of them, what runs left in the work folder.

Live data are looked at while they change: what comes or goes meanwhile may be seen or not.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from oryx_py.adapters.clock import SystemClock
from oryx_py.adapters.file_systems.local_files import LocalFiles
from oryx_py.adapters.file_systems.paths import GENERATION
from oryx_py.adapters.places import history_log, open_files, open_registry, reach_of, work_of
from oryx_py.cli.forget import files as on_files
from oryx_py.cli.forget import topics as on_topics
from oryx_py.cli.forget.arrays import Unreadable
from oryx_py.cli.forget.checkpoints import checkpoint_has, manifest_of
from oryx_py.cli.forget.elsewhere import not_looked_into
from oryx_py.cli.forget.files import Folder
from oryx_py.cli.forget.finds import Finds
from oryx_py.cli.forget.proof import Held, Left, Proof
from oryx_py.cli.forget.standing import generations_until_deleted, standing_of
from oryx_py.cli.forget.subject import Forgotten, Subject
from oryx_py.cli.forget.until import Until
from oryx_py.config import Settings
from oryx_py.errors import TopicsChanged
from oryx_py.model.epochs.registry import Registry
from oryx_py.ports import Consumer, Record, TopicAdmin
from oryx_py.ports.files import Files

__all__ = ["Verifier"]

_DATA = "data"
_OF_THE_STORE = frozenset({"checkpoints", "generations", "registry", "lease"})
"""Folders of the store; the last two name generations and hosts alone."""


class Verifier:
    """Does so, once.

    Args:
        settings: with their places located.
        subject: who.
        admin, new_consumer: Kafka; the latter makes a consumer of this group, or of none.
        on_step: told what is being looked at, and how much of it was.
    """

    def __init__(
        self,
        settings: Settings,
        subject: Subject,
        *,
        admin: TopicAdmin,
        new_consumer: Callable[[str | None], Consumer],
        on_step: Callable[[str, int], None] = lambda _what, _done: None,
    ) -> None:
        self._settings, self._subject = settings, subject
        self._admin, self._new_consumer, self._on_step = admin, new_consumer, on_step
        self._clock = SystemClock()
        reach = reach_of(settings)
        self._history_log = history_log(settings.history_uri, reach)
        self._history = open_files(settings.history_uri, "history.uri", reach)
        self._registry_log = open_registry(settings.registry_uri, reach)
        self._generations = open_files(f"{settings.store_uri.rstrip('/')}/generations", "store.uri", reach)
        self._checkpoints = open_files(f"{settings.store_uri.rstrip('/')}/checkpoints", "store.uri", reach)
        self._store = open_files(settings.store_uri, "store.uri", reach)
        self._left: list[Left] = []
        self._looked_at: list[str] = []
        self._again = 0

    def __call__(self) -> Proof:
        """Look everywhere.

        Raises:
            OryxError: a place cannot be reached, so nothing is proven.
        """
        settings, subject = self._settings, self._subject
        partitions = self._admin.partitions(settings.input.topic)
        if partitions is None:
            raise TopicsChanged(f"there is no topic {settings.input.topic}: `oryx setup --check` says what is missing")
        forgotten = Forgotten(subject, partitions)
        history = self._history_log.read()
        for number, path in enumerate(file.path for file in history.files):
            self._on_step("the history for forgets", number)
            on_files.forgets_of(self._history, path, forgotten)
        told = on_topics.scan_input(self._records(settings.input.topic), subject, forgotten)
        registry = self._registry_log.read()
        standing = standing_of(settings, registry, self._admin, self._new_consumer, self._clock)
        until = Until(settings, forgotten.complete, standing)
        self._take(settings.input.topic, told, until.input)
        self._again = told.again(on_topics.RECORDS)
        self._look_at_topics(forgotten, until)
        known = {file.path for file in (*history.files, *history.replaced)}
        self._look_at_history(known, forgotten, until)
        self._look_at_generations(registry, forgotten, until)
        return Proof(
            kind=subject.kind,
            id=subject.id,
            proven=not self._left,
            forgotten=dict(forgotten.offsets),
            left=tuple(self._left),
            again=self._again,
            looked_at=tuple(self._looked_at),
            not_looked_into=not_looked_into(settings),
            notes=_notes(forgotten),
        )

    def _records(self, topic: str) -> Iterator[Record]:
        seen, consumer = 0, self._new_consumer(None)

        def count() -> None:
            nonlocal seen
            seen += 1
            if not seen % 1000:
                self._on_step(topic, seen)

        try:
            yield from on_topics.retained(consumer, self._admin, topic, self._clock, count)
        finally:
            consumer.close()
        self._looked_at.append(f"{seen:,} records of {topic}")

    def _take(self, place: str, finds: Finds, end: Callable[[Held], str], models: str = "") -> None:
        for what, held, where in finds.left():
            ends = models if what == on_topics.MODELS else end(held)
            self._left.append(Left(place, f"{held.count:,} {what} (by partition {where})", ends))

    def _look_at_topics(self, forgotten: Forgotten, until: Until) -> None:
        settings, subject = self._settings, self._subject
        for topic, scan, end in (
            (settings.update.topic, on_topics.scan_updates, until.updates),
            (settings.items.topic, on_topics.scan_items, until.items),
            (settings.dead_letter_topic, on_topics.scan_dead_letters, until.dead_letters),
        ):
            if self._admin.partitions(topic) is not None:
                self._take(topic, scan(self._records(topic), subject, forgotten), end, until.models())

    def _look_at_history(self, known: set[str], forgotten: Forgotten, until: Until) -> None:
        paths, again = list(on_files.below(self._history, _DATA)), 0
        for number, path in enumerate(paths):
            self._on_step("files of the history", number)
            end = until.history() if path in known else until.rubbish()
            try:
                held, husks = on_files.rows_of(self._history, path, forgotten)
            except Unreadable as trouble:
                self._left.append(Left(self._history.uri(path), f"cannot be looked into: {trouble}", end))
            else:
                again += held.again
                if held.count:
                    self._left.append(Left(self._history.uri(path), f"{held.count:,} rows", end))
                if husks.count:
                    what = f"{husks.count:,} rows without content: name, time and key"
                    end = until.husks() if path in known else end
                    self._left.append(Left(self._history.uri(path), what, end))
        self._again = max(self._again, again)
        self._looked_at.append(f"{len(paths):,} files of the history")

    def _look_at_generations(self, registry: Registry, forgotten: Forgotten, until: Until) -> None:
        names, clean_since_ms = set[str](), None
        stored = [entry.name for entry in self._generations.list() if GENERATION.fullmatch(entry.name)]
        more = generations_until_deleted(registry, stored, self._settings.store.keep_generations)
        for folder in on_files.folders(self._generations):
            self._on_step("generations", len(names))
            whole = "/" not in folder.path and folder.manifest is not None
            if whole:
                names.add(folder.name)
            end = until.generation(more.get(folder.name)) if whole else until.rubbish()
            self._look_at_generation(self._generations, folder, forgotten, end)
            if whole and folder.manifest is not None and forgotten.is_covered_by(folder.manifest.next_offsets):
                clean_since_ms = min(clean_since_ms or folder.manifest.created_ms, folder.manifest.created_ms)
        self._looked_at.append(f"{len(names):,} generations")
        copies = 0
        for root in self._copies():
            for folder in on_files.folders(root):
                copies += 1
                end = until.copy(stored=folder.name in names)
                self._look_at_generation(root, folder, forgotten, end)
        self._looked_at.append(f"{copies:,} copies of generations on this host")
        self._look_at_checkpoints(forgotten, until)
        for entry in self._store.list():
            if entry.is_dir and entry.name not in _OF_THE_STORE:
                place = self._store.uri(entry.name)
                self._left.append(Left(place, "a folder that this version does not know, not looked into", "unknown"))
        self._look_at_work(clean_since_ms, until)

    def _look_at_generation(self, files: Files, folder: Folder, forgotten: Forgotten, end: str) -> None:
        if self._again and folder.manifest is not None and forgotten.is_covered_by(folder.manifest.next_offsets):
            return  # made of a history without it; what it has came later
        where = files.uri(folder.path)
        if folder.manifest is None:
            self._left.append(Left(where, f"{len(folder.files)} files of no whole generation, not looked into", end))
            return
        try:
            if on_files.generation_has(files, folder, self._subject):
                self._left.append(Left(where, f"a row among its {self._subject.kind}s, and its history", end))
        except Unreadable as trouble:
            self._left.append(Left(where, f"cannot be looked into: {trouble}", end))

    def _look_at_checkpoints(self, forgotten: Forgotten, until: Until) -> None:
        stores: dict[str, Files] = {"checkpoints": self._checkpoints}
        cached = reach_of(self._settings).cache_dir
        if cached is not None and (cached / on_files.CHECKPOINTS).is_dir():
            stores["copies of checkpoints on this host"] = LocalFiles(cached / on_files.CHECKPOINTS)
        for what, files in stores.items():
            found = list(on_files.folders(files))
            for folder in found:
                self._on_step(what, len(found))
                manifest = manifest_of(files, folder)
                try:
                    if manifest is None:
                        has = f"{len(folder.files)} files of no whole checkpoint, not looked into"
                    else:
                        has = checkpoint_has(
                            files, folder, manifest, self._generations, forgotten, again=bool(self._again)
                        )
                except Unreadable as trouble:
                    has = f"cannot be looked into: {trouble}"
                if has:
                    stored = files is self._checkpoints
                    end = until.checkpoint(whole=manifest is not None) if stored else until.checkpoint_copy()
                    self._left.append(Left(files.uri(folder.path), has, end))
            self._looked_at.append(f"{len(found):,} {what}")

    def _copies(self) -> list[Files]:
        reach = reach_of(self._settings)
        places = [path for path in (reach.cache_dir, reach.staging) if path is not None and path.is_dir()]
        return [LocalFiles(path) for path in places]

    def _look_at_work(self, clean_since_ms: int | None, until: Until) -> None:
        """What a run left; what was written when the history had nothing of the subject any more has nothing of it."""
        root, uri = work_of(self._settings)
        for place in (root, *_spilled_to(self._settings)):
            files = _files_below(place)
            old = [path for path in files if clean_since_ms is None or _modified_ms(path) < clean_since_ms]
            if old:
                what = f"{len(old):,} files of a run at work on what there was before, not looked into"
                self._left.append(Left(str(place), what, until.work()))
        if uri:
            beyond = open_files(uri, "batch.work_dir", reach_of(self._settings))
            if there := beyond.names():
                self._left.append(
                    Left(beyond.uri(), f"{len(there):,} directories of runs at work, not looked into", until.work())
                )


def _notes(forgotten: Forgotten) -> tuple[str, ...]:
    subject, missing = forgotten.subject, [p for p in forgotten.home if p not in forgotten.offsets]
    if forgotten.repeated:
        where = ", ".join(map(str, sorted(forgotten.repeated)))
        text = f"the newest forget in input partitions {where} has the idempotency key of an earlier record, "
        return (
            text
            + "and may have been ignored as its repeat: if what came before it stays, forget again (`oryx forget`)",
        )
    if len(missing) == len(forgotten.home):
        return (f"no forget of this {subject.kind} is in the input topic or the history",)
    if missing:
        return (f"input partitions {', '.join(map(str, missing))} have no forget of this item: forget it again",)
    return ()


def _spilled_to(settings: Settings) -> list[Path]:
    """Where Spark on this host spills by the user's own settings, in folders of its own."""
    named = [name for name in settings.batch.spark.get("spark.local.dir", "").split(",") if name]
    return [path for name in named for of in ("blockmgr-*", "spark-*") for path in Path(name).glob(of)]


def _files_below(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file() and _size(path)] if root.is_dir() else []


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _modified_ms(path: Path) -> float:
    try:
        return path.stat().st_mtime * 1000
    except FileNotFoundError:
        return float("inf")
