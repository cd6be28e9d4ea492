"""A small table, and a delivery to it that is work for every step of the graph."""

import shutil
from functools import partial
from pathlib import Path

import pytest

from pipeline.input import blocks
from pipeline.run import Run
from pipeline.steps import sizes
from tests.by_hand import new_run, run_graph
from tests.deliveries import Event, deliver

LATER = "2021-03-01T00:00:00Z"
# A table of 60 rows in four partitions. With this many, a small delivery gets a filter.
OLD = [
    *(Event(f"kept-{n}", f"2021-01-0{1 + n % 3}T00:00:00Z") for n in range(56)),
    *(Event(f"moves-{n}", "2021-01-01T00:00:00Z") for n in range(3)),
    Event("rewritten", "2021-01-04T00:00:00Z"),
]
# In two files, each of which is a block: later versions of old ids, a version that is superseded
# within the delivery, an exact duplicate of an old row, and a rejected line a file.
NEW = [
    [
        Event("moves-0", LATER, event_type="closed"),
        Event("moves-1", LATER, event_type="closed"),
        Event("new-0", "2021-01-02T12:00:00Z"),
        Event("rewritten", "2021-01-04T12:00:00Z"),
    ],
    [
        Event("moves-2", LATER, event_type="sale"),
        Event("new-0", "2021-01-02T11:00:00Z"),
        Event("new-1", "2021-01-02T12:00:00Z"),
        Event("kept-0", "2021-01-01T00:00:00Z"),
    ],
]
EVENTS_IN_ALL = [*OLD, *NEW[0], *NEW[1]]


def make_old_table(folder: Path) -> Path:
    """Makes the table, and its delivery beside it, in a folder that is to be copied."""
    deliver(folder / "in" / "old.jsonl", OLD)
    run_graph(new_run(folder, "old"))
    (folder / "in/old.jsonl").unlink()
    for number, events in enumerate(NEW):
        deliver(folder / "in" / f"{number}.jsonl", events, "nonsense")
    return folder


def merge_into(folder: Path, old_table: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run that merges the delivery into a copy, in two blocks and several buckets."""
    shutil.copytree(old_table, folder, dirs_exist_ok=True)
    monkeypatch.setattr(blocks, "pack", partial(blocks.pack, block_bytes=1))
    monkeypatch.setattr(sizes, "_BUCKET_BYTES", 400)
    return new_run(folder, "merge")
