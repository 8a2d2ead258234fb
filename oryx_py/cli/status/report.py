"""What ``oryx status --json`` prints: all that was found out, in one value."""

import msgspec

__all__ = ["Batch", "Generation", "Layer", "Report", "Serving", "Speed", "Topic"]


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of the batch layer; None is what it does not say.

    ``step`` is what it is doing, None at rest; ``left_s`` what that will still take. Times in seconds since 1970.
    """

    step: str | None = None
    left_s: float | None = None
    last_run_at: float | None = None
    last_run_s: float | None = None
    next_run_at: float | None = None
    failures: int | None = None


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one speed process: the last second's, or since its start where nothing happened in that.

    ``lag_records`` and ``lag_s``: by its own account, how far it is behind and since when; `Layer` has what Kafka says.
    ``solve_p50_s`` and ``solve_p99_s``: of solving one micro-batch. ``cache_hits`` from 0 to 1; ``solvers``: shares.
    ``checkpoint_at``: when the newest checkpoint was written, in seconds since 1970. ``lost``: input offsets that were
    passed over because neither topic nor history had them.
    """

    records_per_s: float | None = None
    lag_records: int | None = None
    lag_s: float | None = None
    last_batch: int | None = None
    solve_p50_s: float | None = None
    solve_p99_s: float | None = None
    latency_p99_s: float | None = None
    cache_hits: float | None = None
    solvers: dict[str, float] = {}
    state_bytes: int | None = None
    checkpoint_at: float | None = None
    dead_letters: int | None = None
    lost: int | None = None


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one serving process, as those of `Speed`; probes and scrapes are no requests."""

    requests_per_s: float | None = None
    p50_s: float | None = None
    p99_s: float | None = None
    visible_p99_s: float | None = None
    users: int | None = None
    items: int | None = None


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """One process of a layer.

    ``state``: "ready", "waiting" (it says for what in ``waiting_for``), "silent" (it did not answer, for ``reason``) or
    "unknown" (nothing says where it answers). ``position``: by input partition the offset up to which it is; ``behind``
    that in records, and ``behind_s`` how long ago the oldest record came that it has not had; None: not known.
    """

    layer: str
    address: str
    state: str
    reason: str = ""
    waiting_for: tuple[str, ...] = ()
    epoch: int | None = None
    generation: str | None = None
    position: dict[int, int] = {}
    behind: int | None = None
    behind_s: float | None = None
    figures: Batch | Speed | Serving | None = None


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """A topic: by partition its first offset (all below was trimmed) and its end; bytes where the broker is local."""

    topic: str
    what: str
    start: dict[int, int]
    end: dict[int, int]
    bytes: int | None = None


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """The generation of the newest epoch; times in seconds since 1970."""

    generation: str
    epoch: int
    published_at: float
    created_at: float | None = None
    users: int | None = None
    items: int | None = None
    pairs: int | None = None
    position: dict[int, int] = {}
    checkpoints: int | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything. ``ready``: every layer that should run is ready, and ``troubles`` has what else did not answer."""

    ready: bool
    at: float
    layers: tuple[Layer, ...]
    topics: tuple[Topic, ...] = ()
    dead_letters: int | None = None
    generation: Generation | None = None
    troubles: tuple[str, ...] = ()
