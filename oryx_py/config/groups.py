"""The settings: frozen groups, each key as `reference.toml` explains it. Units stand in the names."""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from oryx_py.config.masking import masked

__all__ = [
    "Api",
    "Batch",
    "Connections",
    "DeadLetter",
    "Hdfs",
    "History",
    "Input",
    "Items",
    "Kafka",
    "Kind",
    "Local",
    "Log",
    "Model",
    "Serving",
    "Settings",
    "Speed",
    "Store",
    "Update",
]

# Above these limits, int64, float32 and timers end before the meaning does.
Count = Annotated[int, msgspec.Meta(ge=1, le=10**15)]
CountOrNone = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Milliseconds = Annotated[int, msgspec.Meta(ge=1, le=86_400_000)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Pause = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
Hours = Annotated[float, msgspec.Meta(ge=0, le=1e7)]
Days = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Weight = Annotated[float, msgspec.Meta(gt=0, le=1e6)]
Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
Name = Annotated[str, msgspec.Meta(min_length=1)]
_TOPIC = r"\A(?![.]{1,2}\Z)[A-Za-z0-9._-]"
# Kafka takes 249 characters; the dead letters' topic needs some of them for its ending.
Topic = Annotated[
    str, msgspec.Meta(pattern=_TOPIC + r"{1,200}\Z", description="a topic's name: up to 200 of A-Z a-z 0-9 . _ -")
]
TopicOrNone = Annotated[
    str,
    msgspec.Meta(pattern=_TOPIC + r"{0,249}\Z", description="a topic's name: up to 249 of A-Z a-z 0-9 . _ -, or none"),
]
InstanceOrNone = Annotated[
    str,
    msgspec.Meta(pattern=r"\A[A-Za-z0-9._-]{0,200}\Z", description="a name: up to 200 of A-Z a-z 0-9 . _ -, or none"),
]
UrlPath = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A/(?:[A-Za-z0-9._~-]+(?:/[A-Za-z0-9._~-]+)*/?)?\Z",
        description='a path that begins with a slash, such as "/recommender"',
    ),
]

LOCAL_BROKER = "local"
"""In place of addresses: the broker that this machine's own commands start."""
LOCAL_HDFS = "local"
"""In place of a NameNode's address: the one that this machine's own commands start."""
EMBEDDED_PARTITIONS = 4
CLUSTER_PARTITIONS = 16


class _Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the settings file."""


class Kafka(_Group, frozen=True):
    """How Kafka is reached."""

    bootstrap_servers: Name = LOCAL_BROKER
    client: dict[str, str] = {}
    replication: Count = 1

    def __repr__(self) -> str:
        return f"Kafka(bootstrap_servers={self.bootstrap_servers!r}, client={masked('kafka.client', self.client)}, …)"


class Kind(_Group, frozen=True):
    """How interactions of one kind count; without a half-life they have the model's."""

    weight: Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)] = 1.0
    half_life_h: Hours | UnsetType = UNSET


class Input(_Group, frozen=True):
    """The topic of interactions."""

    topic: Topic = "OryxInput"
    partitions: CountOrNone = 0
    # Our consumers fetch 16 MiB at most, of which a record needs some for its frame.
    max_record_bytes: Annotated[int, msgspec.Meta(ge=4096, le=16_000_000)] = 1_048_576
    dedupe_window_s: Seconds = 86_400.0
    dedupe_records: Count = 1_000_000
    kinds: dict[str, Kind] = {}


class Update(_Group, frozen=True):
    """The topic of models and updates."""

    topic: Topic = "OryxUpdate"
    partitions: Count = 1
    dialect: Literal["oryx", "oryx2"] = "oryx"


class Items(_Group, frozen=True):
    """The internal topic of new items."""

    topic: Topic = "OryxItems"


class DeadLetter(_Group, frozen=True):
    """The topic of what could not be read."""

    topic: TopicOrNone = ""


class Local(_Group, frozen=True):
    """Everything on one machine."""

    dir: Name = "oryx-data"
    broker_host: Name = "127.0.0.1"
    broker_port: Port = 9092
    broker_heap_mb: Annotated[int, msgspec.Meta(ge=128)] = 256
    hdfs: bool = False
    hdfs_host: Name = "127.0.0.1"
    hdfs_port: Port = 8020
    webhdfs_port: Port = 9870
    hdfs_heap_mb: Annotated[int, msgspec.Meta(ge=128)] = 256


class Hdfs(_Group, frozen=True):
    """How HDFS is reached outside Spark, and what is asked of it."""

    webhdfs_url: Annotated[
        str,
        msgspec.Meta(
            pattern=r"\A(?:https?://[^\s/;]+/?(?:;https?://[^\s/;]+/?)*)?\Z",
            description='a URL such as "http://namenode:9870", several separated by ";", or none',
        ),
    ] = ""
    replication: CountOrNone = 0


class Store(_Group, frozen=True):
    """Generations and their registry."""

    uri: str = ""
    registry_uri: str = ""
    cache_dir: str = ""
    cache_bytes: Count = 20 * 1024**3
    keep_generations: Count = 5


class History(_Group, frozen=True):
    """Every interaction ever read."""

    uri: str = ""
    max_age_days: Days = 0
    max_rows: CountOrNone = 0
    compacted: bool = True


class Model(_Group, frozen=True):
    """What is trained."""

    feedback: Literal["implicit", "explicit"] = "implicit"
    features: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 32
    biases: bool = False
    iterations: Count = 10
    patience: CountOrNone = 3
    warm_start: bool = False
    lambda_: Annotated[float, msgspec.Meta(ge=0, le=1e6)] | Literal["auto"] = msgspec.field(
        default="auto", name="lambda"
    )
    alpha: Weight = 1.0
    unobserved_weight: Weight = 0.1
    nu: Annotated[float, msgspec.Meta(ge=0, le=4)] = 0.25
    log_strength: bool = False
    epsilon: Annotated[float, msgspec.Meta(ge=1e-30, le=1e30)] = 1e-5
    half_life_h: Hours = 0.0
    zero_threshold: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    max_age_h: Hours = 0.0
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 1


class Batch(_Group, frozen=True):
    """The batch layer."""

    interval_s: Pause = 300.0
    trim: bool = True
    trim_keep_s: Seconds = 86_400.0
    trainer: Literal["ials", "mllib"] = "ials"
    test_fraction: Annotated[float, msgspec.Meta(ge=0, le=0.5)] = 0.0
    training_tasks: Literal["auto", "one", "many", "blocks"] = "auto"
    task_memory_bytes: CountOrNone = 0
    spark_master: Name = "local[*]"
    work_dir: str = ""
    spark: dict[str, str] = {}
    metrics_host: Name = "127.0.0.1"
    metrics_port: Port = 0


class Speed(_Group, frozen=True):
    """The speed layer."""

    group_id: Name = "oryx-speed"
    instance: InstanceOrNone = ""
    session_s: Annotated[float, msgspec.Meta(ge=6, le=1800)] = 30.0
    fold_in: Literal["exact", "oryx"] = "exact"
    epoch_overlap_s: Seconds = 60.0
    allow_gap: bool = False
    checkpoint_interval_s: Seconds = 120.0
    checkpoints_kept: Count = 2
    max_batch_records: Count = 10_000
    stale_solves: Count = 2_000
    stale_pairs: Count = 500_000
    item_states: Count = 20_000
    replay_users: Count = 2_048
    solver: Literal["auto", "rls", "cg", "dense"] = "auto"
    solver_cache_bytes: CountOrNone = 268_435_456
    metrics_host: Name = "127.0.0.1"
    metrics_port: Port = 0


class Api(_Group, frozen=True):
    """The REST interface."""

    default_format: Literal["json", "csv"] = "json"
    number_format: Literal["shortest", "java"] = "shortest"
    rescorer: str = ""
    context_path: UrlPath = "/"
    read_only: bool = False
    read_after_write_timeout_ms: Milliseconds = 2_000
    request_timeout_ms: Milliseconds = 10_000
    write_timeout_ms: Milliseconds = 3_000
    max_body_bytes: Count = 16 * 1024 * 1024
    max_inflated_bytes: Count = 64 * 1024 * 1024
    max_ingest_bytes: Count = 2 * 1024**3
    spool_dir: str = ""
    max_spool_bytes: Count = 8 * 1024**3
    max_concurrent_requests: Count = 512


class Connections(_Group, frozen=True):
    """What clients' connections may take of the serving layer."""

    max: Count = 2_000
    keep_alive_s: Pause = 75.0
    header_timeout_s: Pause = 10.0
    stall_s: Pause = 10.0
    min_bytes_per_s: Count = 1_000
    max_unsent_bytes: Count = 256 * 1024 * 1024
    max_url_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 16_384
    max_path_segments: Count = 1_000
    max_headers: Annotated[int, msgspec.Meta(ge=16)] = 100
    max_header_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 32_768


class Serving(_Group, frozen=True):
    """The serving layer."""

    host: Name = "127.0.0.1"
    port: Port = 8080
    require_live: bool = True
    epoch_patience_s: Seconds = 60.0
    min_model_load_fraction: Fraction = 0.8
    shutdown_grace_s: Seconds = 10.0
    api: Api = Api()
    connections: Connections = Connections()


class Log(_Group, frozen=True):
    """What the layers write about themselves."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class Settings(_Group, frozen=True):
    """All settings; relative paths begin at `base`, the settings file's folder; "" is the present one."""

    kafka: Kafka = Kafka()
    input: Input = Input()
    update: Update = Update()
    items: Items = Items()
    dead_letter: DeadLetter = DeadLetter()
    local: Local = Local()
    hdfs: Hdfs = Hdfs()
    store: Store = Store()
    history: History = History()
    model: Model = Model()
    batch: Batch = Batch()
    speed: Speed = Speed()
    serving: Serving = Serving()
    log: Log = Log()
    base: str = ""

    @property
    def local_dir(self) -> Path:
        """The folder of everything that one machine keeps, absolute."""
        return (Path(self.base) / self.local.dir).absolute()

    @property
    def store_uri(self) -> str:
        """Where generations and their registry are: an absolute path, or a URI as it was set."""
        return self._place(self.store.uri, "store")

    @property
    def registry_uri(self) -> str:
        """Where the registry is: an absolute path or a URI; the generations' place unless it was set."""
        return self._place(self.store.registry_uri, "store") if self.store.registry_uri else self.store_uri

    @property
    def cache_dir(self) -> Path:
        """Where generations from elsewhere are copied to, absolute."""
        return (Path(self.base) / self.store.cache_dir).absolute() if self.store.cache_dir else self.local_dir / "cache"

    @property
    def history_uri(self) -> str:
        """Where the history is: an absolute path, or a URI as it was set."""
        return self._place(self.history.uri, "history")

    @property
    def work_dir(self) -> Path:
        """Where this host's part of the batch layer keeps what it works on, absolute; see `work_uri`."""
        own = not self.batch.work_dir or self.work_uri
        return self.local_dir / "work" if own else (Path(self.base) / self.batch.work_dir).absolute()

    @property
    def work_uri(self) -> str:
        """Where tasks leave files to each other that need not see a folder; "" where all see `work_dir`."""
        return self.batch.work_dir if "://" in self.batch.work_dir else ""

    @property
    def spool_dir(self) -> str:
        """Where bulk writes are spooled, absolute; empty for the system's folder of temporary files."""
        return str((Path(self.base) / self.serving.api.spool_dir).absolute()) if self.serving.api.spool_dir else ""

    @property
    def dead_letter_topic(self) -> str:
        """The topic of dead letters."""
        return self.dead_letter.topic or f"{self.input.topic}.dead-letter"

    @property
    def input_partitions(self) -> int:
        """How many partitions the input topic is created with."""
        default = EMBEDDED_PARTITIONS if self.kafka.bootstrap_servers == LOCAL_BROKER else CLUSTER_PARTITIONS
        return self.input.partitions or default

    def _place(self, uri: str, below: str) -> str:
        if "://" in uri:
            return uri
        if not uri and self.local.hdfs:
            return f"hdfs://{LOCAL_HDFS}/oryx/{below}"
        return str((Path(self.base) / uri).absolute() if uri else self.local_dir / below)


def plain(settings: Settings) -> dict[str, Any]:
    """Return the settings as nested dictionaries with the file's names, without `base`."""
    tables: dict[str, Any] = msgspec.to_builtins(settings)
    del tables["base"]
    return tables
