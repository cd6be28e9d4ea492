"""Blocks with more versions than should be in memory: a compressed file of any size is one."""

import functools
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.graph import dofns, tags
from pipeline.input.blocks import Block, Piece
from pipeline.keys import delivery_keys, versions
from pipeline.keys.versions import Bucketed
from pipeline.steps import decode, read
from pipeline.steps.decode import ReadSettings
from pipeline.steps.plan import ReadTask
from pipeline.steps.read import BlockRead
from pipeline.steps.sizes import Sizes
from tests.by_hand import ID_SEED, new_run
from tests.deliveries import Event
from tests.graph.outputs import MAIN, by_tag, tally_of

EVENTS = [Event(f"e{n}", n * 60, data=f'"{"x" * 50}"') for n in range(90)]
SIZES = Sizes(ID_SEED, 3, 1, delivery_keys.Size(1 << 10, True))


@pytest.fixture
def block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Block:
    """Compressed content; what is staged together, and a portion, have few events."""
    monkeypatch.setattr(read, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(read, "_PORTION_ROWS", 20)
    pieces = []
    for first in range(0, len(EVENTS), 10):
        lines = [event.line() for event in EVENTS[first : first + 10]]
        path = tmp_path / f"{first}.jsonl.gz"
        path.write_bytes(gzip.compress("\n".join(lines).encode()))
        pieces.append(Piece(str(path), 0, path.stat().st_size))
    return Block(versions.FIRST_BLOCK, tuple(piece[:] for piece in pieces))


def settings(folder: Path, scratch: str = "") -> ReadSettings:
    """How to read it."""
    return ReadSettings("r1", f"{folder}/temp", SIZES, 1 << 20, scratch, part_bytes=500)


@pytest.mark.parametrize("stored", [False, True])
def test_versions_come_in_portions(tmp_path: Path, block: Block, stored: bool) -> None:
    """Each event once, in the bucket of its id; none holds more than some.

    Seen to fail with the rows of each portion counted from 0.
    """
    *earlier, last = read.portions(block, settings(tmp_path, str(tmp_path) if stored else ""))

    assert isinstance(last, BlockRead)
    portions = [one for one in (*earlier, last.versions) if isinstance(one, Bucketed)]
    assert len(portions) == len(earlier) + 1 > 3
    locations: list[int] = []
    for portion in portions:
        assert sum(portion.counts) < 40
        for bucket, part in portion.split():
            found = versions.unpack([part])
            assert set((found["id_high"] % 3).tolist()) == {bucket}
            locations += versions.rows_of(found["location"]).tolist()
    assert sorted(locations) == list(range(90))
    assert last.rows == 90
    assert sum(sum(slices.rows) for slices in last.slices) == 90


def test_portions_are_of_one_block(tmp_path: Path, block: Block) -> None:
    """It is counted once, and the filter knows all of its ids and days.

    Seen to fail with the blocks of the portions added up.
    """
    found = read.read_block(block, settings(tmp_path))

    assert found.delivery_keys.blocks == 1
    assert len(found.delivery_keys.paths) == len(found.earlier) + 1 > 3
    assert len(found.delivery_keys.days) == 4
    filter_ = delivery_keys.filter_of(found.delivery_keys)
    assert len(filter_.ids) == len(filter_.instants) == 90


@pytest.mark.parametrize("workers", [0, 1])
def test_every_portion_goes_on(tmp_path: Path, block: Block, workers: int) -> None:
    """From a process all at once; on an engine each as soon as it is there.

    Seen to fail with the earlier portions left out: the tallies refuse to publish.
    """
    step = dofns.ReadBlocks(new_run(tmp_path, max_event_bytes=1 << 20), workers, "")
    found = by_tag(step.outputs(step.call(ReadTask(block, SIZES))()))

    assert sum(len(versions.unpack([part])) for _, part in found[MAIN]) == 90
    assert tally_of(found, "read")["versions"] == 90
    assert len(found[tags.SLICES]) == len(found[tags.DELIVERY_KEYS]) == 1


def test_an_engine_gets_versions_before_all_is_read(
    tmp_path: Path, block: Block, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is handed on is not held: memory does not grow with the file.

    Seen to fail with `read_block` called on engines, too.
    """
    staged: list[int] = []
    stage = read.staging.stage

    def note(*arguments: Any) -> Any:
        staged.append(len(arguments[0]))
        return stage(*arguments)

    monkeypatch.setattr(read.staging, "stage", note)
    monkeypatch.setattr(decode, "ReadSettings", functools.partial(ReadSettings, part_bytes=500))
    step = dofns.ReadBlocks(new_run(tmp_path), 0, "")
    outputs: Iterator[Any] = iter(step.process(ReadTask(block, SIZES)))

    first = next(outputs)

    assert len(versions.unpack([first[1]])) > 0
    assert 0 < sum(staged) < 40
    assert sum(1 for _ in outputs) > 3
    assert sum(staged) == 90
