"""What the plan is computed from: figures measured on one machine, each with where it comes from.

`python -m tests.bench.constants` measures them anew and prints them beside these; where it says "estimated", these are
by experience and by arithmetic. Seconds are of one core, in the sum over all that work (so n cores take an n-th of it),
of a virtual machine of 2020 or later at about 3 GHz.
"""

from dataclasses import dataclass

__all__ = ["MEASURED", "Constants"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Constants:
    """Bytes and seconds; the defaults are those measured."""

    topic_bytes: float = 44.0
    """Of a record in the topic, uncompressed: a CSV value with short IDs, its key, 18 bytes of frame."""
    history_bytes: float = 11.0
    """Of a row in the history's Parquet (zstd) as Spark writes it, by offsets, a quarter million in a file: of a drawn
    world of many users, with clients' times; 6.9 without these and with 30 rows of each user."""
    history_key_bytes: float = 16.3
    """What its idempotency key adds: those of `oryx ingest` are 16 bytes that nothing compresses."""
    read_s: float = 9e-6
    """Of a row, from the topic to the history's files: 6 µs of parsing in the tasks' Python; the rest is a guess."""
    shuffle_bytes: float = 40.0
    """Of a row in the shuffle files (lz4), by users: 10.7 where IDs have eight bytes; the rest is for longer ones."""
    part_bytes: float = 14.0
    """Of a pair in the parts that the fold leaves in the working directory; 12.8 measured."""
    prepare_s: float = 9e-6
    """Of a row, from the history's files to mapped histories: scan, shuffle, sort, fold and the rest; 7.3 µs of CPU
    measured, without the disk."""
    prepare_task_bytes: float = 700e6
    """A Python worker and its share of the JVM while they fold a part of a million rows: 510 MB measured, and room."""
    jvm_bytes: float = 2.6e9
    """Spark's driver with its default heap of 2 GB, and what Java has beside it; estimated."""
    train_pair_s: float = 6e-9
    """Of a pair and a feature in one epoch: both half sweeps."""
    train_row_s: float = 6e-11
    """Of a row of factors and a feature squared in one epoch: Gram matrices and turning."""
    round_s: float = 0.25
    """Of a job of Spark's in rounds, beside its work; 0.16 measured at rest."""
    top_share: float = 0.01
    """Of all pairs, those of the item (or user) that has most; an assumption, and the batch layer counts them."""
    solve_pair_s: float = 1.2e-8
    """Of a pair and a feature in the exact solve at the end: some ten steps of conjugate gradients."""
    id_bytes: float = 8.0
    """Of an ID, in UTF-8; an assumption, not measured: give --id-bytes."""
    serving_item_bytes: float = 12.0
    """Of an item on the heap of each serving process: norms, their order (`ExactIndex`), popularity."""
    serving_bytes: float = 1.5e8
    """Of a serving process without a model, its modules loaded."""
    speed_bytes: float = 1.2e8
    """Of the speed layer's process without a model, its modules loaded."""
    speed_user_bytes: float = 700.0
    """Of a user touched since the generation, on the heap of each process, beside vector and pairs; estimated."""
    speed_record_s: float = 7.5e-5
    """Of an interaction in the speed layer, from its bytes to its update's, without Kafka: 64 features, 75 pairs a
    user, hardly two of a user in a micro-batch; median of seven runs of `python -m tests.bench.scaling --measure`."""
    apply_update_s: float = 5.8e-5
    """Of a user's update of 64 features in a reader, from its bytes into the state; the same runs."""
    disk_s: float = 1 / 400e6
    """Of a byte that does not fit the page cache, read or written in a row; an assumption: a cloud's network disk."""
    network_s: float = 1 / 600e6
    """Of a byte from the shared file system to an executor; an assumption: 5 Gbit/s."""


MEASURED = Constants()
