"""Planning a run: what there is to read, what it is merged into, how the work is divided."""

import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pipeline import storage
from pipeline.bookkeeping import ledger, listings, recovery
from pipeline.input import blocks, sources
from pipeline.input.blocks import Block
from pipeline.keys import versions
from pipeline.run import Run
from pipeline.steps.sizes import Sizes, divide
from pipeline.steps.tally import Tally
from pipeline.storage import LeftOut
from pipeline.table import layout
from pipeline.table.datafiles import DataFile
from pipeline.table.layout import Asked, Layout

# What one call scans of small live files.
_SCAN_BYTES = 1 << 20
_SCAN_FILES = 64


class ReadTask(NamedTuple):
    """A block to read, by the table's layout."""

    block: Block
    sizes: Sizes
    layout: Layout = Layout()


class ScanTask(NamedTuple):
    """A live file whose keys are to be compared with the delivery's; `number` is its source's."""

    number: int
    file: DataFile
    sizes: Sizes
    provenance: bool = False


class Plan(NamedTuple):
    """A run's plan.

    Attributes:
        version: The version of the table that the run is based on, -1 if there is none.
        inputs: Where the list of the files to read is staged; see `listings`.
        matched: How many files the patterns matched.
        skipped: How many of these were published before.
        reads: The blocks to read.
        scans: The live files to compare with; none if the table is rebuilt.
        seconds: How long planning took.
        began: When it began, in seconds since 1970.
        left_out_count: How many files and folders the patterns matched that cannot be read.
        left_out: The first of them, at most `sources.NAMED_LIMIT`.
        table: The table's identity; "" if there is none.
        layout: What the table keeps of how it was made, or will keep.
    """

    version: int
    inputs: str
    matched: int
    skipped: int
    reads: list[ReadTask]
    scans: list[ScanTask]
    seconds: float
    began: float
    left_out_count: int = 0
    left_out: tuple[LeftOut, ...] = ()
    table: str = ""
    layout: Layout = Layout()

    def tally(self) -> Tally:
        """Returns what is planned, as counts."""
        counts = {
            "files": self.matched - self.skipped,
            "blocks": len(self.reads),
            "bytes": sum(task.block.bytes for task in self.reads),
            "live_files": len(self.scans),
            "comparisons": len(self.scans) * len(self.reads),
        }
        return Tally("plan", counts, self.seconds)


def together(scans: Iterable[ScanTask], root: str) -> Iterator[tuple[ScanTask, ...]]:
    """Packs scans that one call makes: of a local table of many small files, some at a time.

    A call for each file costs more than scanning it. In a store a file's scan mostly waits, so that
    several calls at the same time are better than one for several files.

    Args:
        scans: The scans, in order.
        root: The table.
    """
    files, packed_bytes = _SCAN_FILES if storage.is_local(root) else 1, 0
    packed: list[ScanTask] = []
    for scan in scans:
        if packed and (packed_bytes + scan.file.bytes > _SCAN_BYTES or len(packed) == files):
            yield tuple(packed)
            packed, packed_bytes = [], 0
        packed.append(scan)
        packed_bytes += scan.file.bytes
    if packed:
        yield tuple(packed)


def plan(run: Run) -> Plan:
    """Heals the table if an earlier run was cut short, and plans this one.

    Raises:
        NoInputError: No file matches the run's patterns, or one that they name cannot be read.
        layout.OtherLayoutError: The table was made in another way than the run asks for.
        datafiles.TableError: The output is not a table of ours, or cannot be read.
        OSError: An input or the output cannot be read.
    """
    began, started = time.time(), time.perf_counter()
    snapshot = recovery.heal(run.table, run.id, run.keep_seconds, run.rebuild)
    listed = storage.Matches(listings.read(run.listing), []) if run.listing else None
    # If the table is gone, so is what was published.
    goes_on = snapshot.version >= 0 and not run.rebuild
    asked = Asked(run.fields, run.provenance)
    kept = layout.decided(run.root, snapshot.layout, asked, may_change=not goes_on)
    found = sources.without_own(listed or storage.match(run.inputs), run.inputs, run.root, run.temp)
    sources.check(found, run.inputs, run.root)
    matched = found.files
    published = ledger.published(run.table, run.id, snapshot.lineage) if goes_on else []
    files = ledger.unpublished(matched, published)
    inputs = storage.join(run.staging, "inputs.arrow.zst")
    listings.write(inputs, files)
    live = snapshot.files if files and not run.rebuild else ()
    sizes = divide(files, live)
    packed = blocks.pack(blocks.cut_all(files), versions.FIRST_BLOCK)
    return Plan(
        version=snapshot.version,
        inputs=inputs,
        matched=len(matched),
        skipped=len(matched) - len(files),
        reads=[ReadTask(block, sizes, kept) for block in packed],
        scans=[ScanTask(number, file, sizes, kept.provenance) for number, file in enumerate(live)],
        seconds=time.perf_counter() - started,
        began=began,
        left_out_count=len(found.left_out),
        left_out=tuple(found.left_out[: sources.NAMED_LIMIT]),
        table=snapshot.lineage.identity,
        layout=kept,
    )
