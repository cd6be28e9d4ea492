"""How the work of a run is divided: known before anything is read, from the sizes of files."""

import os
import secrets
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pipeline import storage
from pipeline.keys import delivery_keys
from pipeline.table.datafiles import DataFile

# A bucket is combined in memory, and comes in an element from each block. With 96 MiB of input each
# (about 370,000 events, 15 MB of keys) it stays small enough for every runner; smaller ones make
# more elements, by the square of the input.
_BUCKET_BYTES = 96 << 20
# From 3 TB on buckets grow instead: elements of a few versions would cost more than these.
# (At 100 TB a bucket has 11 million versions, 0.5 GB.)
_BUCKETS_LIMIT = (1 << 15) - 1
# Destinations are written in shards, each by one call: of about this many bytes of input, or (at a
# tenth) of the table. Elements for thousands of destinations in each block would take longer than
# their rows.
_SHARD_BYTES = 4 << 20
SHARDS_LIMIT = 512
_TABLE_RATIO = 10
# What is staged takes two thirds of the input's size, and should stay in the system's memory until
# it is written.
_MEMORY_SHARE = 1 / 3
# Compressed input holds more events than its size says.
_COMPRESSION_RATIO = 8
# Few events are smaller: B bytes of input have at most about B / 100 events.
_EVENT_BYTES = 100


class Sizes(NamedTuple):
    """How the work is divided.

    Attributes:
        id_seed: For `events.hash_ids`; new in every run.
        buckets: Shares of the event_id space; see `versions.by_bucket`.
        shards: In which destinations are written; see `partitions.shard_of`.
        filter_size: Of the filter for the delivery's event_ids.
        forget: Whether the input is too large to stay in the system's memory beside what is staged.
    """

    id_seed: int
    buckets: int
    shards: int
    filter_size: delivery_keys.Size
    forget: bool = False


def divide(files: Sequence[storage.FileInfo], live: Sequence[DataFile]) -> Sizes:
    """Returns how to divide the work of a run.

    Args:
        files: To be read.
        live: Files of the table that the delivery is merged with.
    """
    content = sum(_content_bytes(files))
    written = content + _TABLE_RATIO * sum(file.bytes for file in live)
    ids = -(-content // _EVENT_BYTES)
    return Sizes(
        id_seed=secrets.randbits(64),
        buckets=min(max(1, -(-content // _BUCKET_BYTES)), _BUCKETS_LIMIT),
        shards=min(max(1, -(-written // _SHARD_BYTES)), SHARDS_LIMIT),
        filter_size=delivery_keys.size_for(ids, sum(file.rows for file in live)),
        forget=sum(file.bytes for file in files) > _MEMORY_SHARE * _memory_bytes(),
    )


def _memory_bytes() -> int:
    """Of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _content_bytes(files: Sequence[storage.FileInfo]) -> Iterator[int]:
    """The bytes of each file's content, if need be estimated by its name (it only sizes things)."""
    for file in files:
        packed = file.path.endswith((".gz", ".bz2", ".xz", ".zst", ".zstd"))
        yield file.bytes * (_COMPRESSION_RATIO if packed else 1)
