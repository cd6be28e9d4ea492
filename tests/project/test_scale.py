"""docs/scale.md: what it reckons is what the code plans, and what is measured."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks import build, elements
from pipeline.input import blocks
from pipeline.keys import versions, weights
from pipeline.rows import staging
from pipeline.steps import sizes as dividing
from pipeline.storage import FileInfo

TB = 10**12
PAGE = (Path(__file__).parents[2] / "docs" / "scale.md").read_text()
EVENT_BYTES = 271
DESTINATIONS = 2_555


def row(name: str) -> list[str]:
    """The cells of a row of the page's table: 10 M events, 1 TB, 100 TB."""
    (line,) = (line for line in PAGE.splitlines() if line.startswith(f"| {name}"))
    return [cell.strip() for cell in line.strip("|").split("|")[2:]]


def number(cell: str) -> float:
    """What a cell says."""
    factors = {"": 1, "M": 1e6, "million": 1e6, "billion": 1e9}
    factors |= {"KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
    found = re.fullmatch(r"([\d.,]+) ?(\w*)", cell)
    assert found, cell
    return float(found[1].replace(",", "")) * factors[found[2]]


def files(total: int) -> Iterator[FileInfo]:
    """Files of the size of a block, which planning need not open."""
    size = blocks.BLOCK_BYTES
    for n in range(-(-total // size)):
        yield FileInfo(f"gs://in/{n}", min(size, total - n * size), 0)


def test_one_terabyte_is_planned_as_reckoned() -> None:
    """Blocks, buckets, and the sizes of elements and of buckets, by the planner itself."""
    listed = list(files(TB))
    pieces = (piece for file in listed for piece in blocks.cut(file))
    packed = list(blocks.pack(pieces, versions.FIRST_BLOCK))
    sizes = dividing.divide(listed, ())
    events = TB / EVENT_BYTES
    n, k, width = len(packed), sizes.buckets, versions.VERSION.itemsize

    assert number(row("blocks")[1]) == n
    assert number(row("buckets")[1]) == k
    reckoned = {
        "events |": events,
        "versions through the shuffle": width * events,
        "elements that carry them": n * min(k, events / n),
        "versions in each of these": events / (n * k),
        "everything else": 2 * events + 100 * n * DESTINATIONS,
        "versions in a bucket": width * events / k,
        "tallies": 2 * n + k + min(DESTINATIONS, sizes.shards) + 0.68 * TB / (224 << 20),
        "data files": DESTINATIONS + 0.68 * TB / (224 << 20),
    }
    for name, expected in reckoned.items():
        assert number(row(name)[1]) == pytest.approx(expected, rel=0.05), name
    # The last block has a number that a version can bear.
    last = versions.locate(packed[-1].number, np.array([10**9]))
    assert versions.origins_of(last).tolist() == [packed[-1].number]


def test_a_hot_type_is_cut_as_reckoned() -> None:
    """Four fifths of a terabyte in one destination: its slices, their weights, and its shards.

    Seen to fail with shards of a whole file's bytes, which is an eighth more.
    """
    blocks_, target = -(-TB // blocks.BLOCK_BYTES), 256 << 20
    in_block = 0.68 * 0.8 * blocks.BLOCK_BYTES / staging._SLICE_BYTES
    slices = round(blocks_ * in_block)
    positions = np.random.default_rng(1).integers(0, 1 << 62, slices)
    packed = weights.pack([1] * slices, positions.tobytes(), [staging._SLICE_BYTES] * slices)
    (cut,) = weights.cuts(weights.union([packed]), target, dividing.SHARDS_LIMIT).values()

    for at, times in ((1, 1), (2, 100)):
        reckoned = {
            "staged of the hot": 0.68 * 0.8 * TB,
            "its slices": slices,
            "their weights": len(packed),
            "its shards": len(cut.positions) + 1,
        }
        for name, expected in reckoned.items():
            assert number(row(name)[at]) == pytest.approx(times * expected, rel=0.02), name


def test_a_hundred_terabytes_follow() -> None:
    """By the formulas, and within what numbers there are."""
    n = -(-100 * TB // blocks.BLOCK_BYTES)
    (size,) = {dividing.divide([FileInfo("gs://in/all", 100 * TB, 0)], ()).buckets}
    events = 100 * TB / EVENT_BYTES

    assert number(row("blocks")[2]) == n < versions.FIRST_BLOCK
    assert number(row("buckets")[2]) == size
    assert number(row("versions in a bucket")[2]) == pytest.approx(40 * events / size, rel=0.05)
    assert number(row("elements that carry them")[2]) == pytest.approx(n * size, rel=0.05)
    assert number(row("versions in each of these")[2]) == pytest.approx(events / n / size, rel=0.05)


def test_elements_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a real graph shuffles: 40 bytes a version in blocks x buckets elements, all small."""
    delivery = build.delivery(4_000, tmp_path)
    monkeypatch.setattr(dividing, "_BUCKET_BYTES", 256 << 10)

    results = elements.compare(delivery, None, tmp_path)

    latest = results.shuffles["latest"]
    events = delivery.summary.events
    content = delivery.summary.size_bytes
    buckets = -(-content // (256 << 10))
    assert latest.elements == results.shuffles["read"].elements * buckets
    assert latest.bytes == pytest.approx(40 * events, rel=0.05)
    assert latest.group == pytest.approx(40 * events / buckets, rel=0.15)
    assert elements.largest(results) < elements.LIMIT_BYTES
    assert "4,000 events" in elements.markdown(results)
