from pathlib import Path

import pytest

from pipeline import storage
from pipeline.keys import delivery_keys
from pipeline.steps import sizes
from tests.by_hand import write_live
from tests.deliveries import Event


@pytest.mark.parametrize(
    ("name", "buckets"), [("in.jsonl", 3), ("in.jsonl.gz", 17), ("in.zst", 17), ("x.bz2", 17)]
)
def test_the_number_of_buckets_follows_from_the_content(name: str, buckets: int) -> None:
    """A bucket is combined in memory, so it holds about 96 MiB of input; packed holds more."""
    file = storage.FileInfo(name, 200 << 20, 0.0)
    assert sizes.divide([file], []).buckets == buckets
    assert sizes.divide([], []).buckets == 1


@pytest.mark.parametrize(
    ("delivered", "table_bytes", "shards"),
    [(0, 0, 1), (100, 0, 1), (40 << 20, 0, 10), (100, 4 << 20, 11), (1 << 40, 0, 512)],
)
def test_the_number_of_shards_follows_from_what_may_be_written(
    tmp_path: Path, delivered: int, table_bytes: int, shards: int
) -> None:
    """A call for some megabytes, of the table as well, which may have to be written anew."""
    file = storage.FileInfo("in.jsonl", delivered, 0.0)
    live = write_live(tmp_path, [Event("a")])._replace(bytes=table_bytes)
    assert sizes.divide([file], [live]).shards == shards


def test_input_beyond_a_third_of_memory_is_not_kept_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is staged beside it takes two thirds as much, and is needed again."""
    monkeypatch.setattr(sizes, "_memory_bytes", lambda: 3000)
    files = [storage.FileInfo(name, 500, 0.0) for name in ("a.jsonl", "b.gz")]
    assert not sizes.divide(files, []).forget
    assert sizes.divide([*files, storage.FileInfo("c", 1, 0.0)], []).forget


def test_a_small_delivery_to_a_large_table_gets_a_filter(tmp_path: Path) -> None:
    """Only then it saves more than it costs."""
    file = storage.FileInfo("in.jsonl", 100_000, 0.0)
    live = write_live(tmp_path, [Event("a")])
    small = sizes.divide([file], [live])
    large = sizes.divide([file], [live._replace(rows=1_000_000)])
    assert small.filter_size == delivery_keys.Size(0, False)
    assert large.filter_size == delivery_keys.Size(1 << 14, True)
