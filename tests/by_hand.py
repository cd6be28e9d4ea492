"""The steps of a run, each taken by hand, and the whole graph without the command."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import msgspec
import numpy as np
import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_pipeline import TestPipeline

from pipeline import flow, storage
from pipeline.bookkeeping import journal
from pipeline.input import blocks
from pipeline.keys import delivery_keys, versions
from pipeline.rows import encoding, staging
from pipeline.run import Run
from pipeline.steps import decode, read, route, write
from pipeline.steps.sizes import Sizes
from pipeline.table.address import Table
from pipeline.table.datafiles import DataFile
from tests.deliveries import Event, deliver

NO_FILTER = delivery_keys.Size(0, False)
NO_ROWS = np.empty(0, np.int64)
ID_SEED = 7


def new_run(folder: Path, run_id: str = "r1", **changes: Any) -> Run:
    """A run that reads `folder`/in and keeps its table in `folder`/out."""
    run = Run(
        id=run_id,
        inputs=(f"{folder}/in/*",),
        table=Table(f"{folder}/out"),
        temp=f"{folder}/tmp",
        rebuild=False,
        max_partitions=1000,
        max_event_bytes=1 << 20,
        target_file_bytes=1 << 28,
    )
    return run._replace(**changes)


# The graph


def local_pipeline() -> TestPipeline:
    """A pipeline that runs in this process when its ``with`` block ends."""
    return TestPipeline(runner="FnApiRunner")


def run_graph(run: Run, workers: int = 0, **beam_options: Any) -> dict[str, Any]:
    """Runs the whole graph; gives the run's summary."""
    pipeline = beam.Pipeline(runner="FnApiRunner", options=PipelineOptions(**beam_options))
    flow.build(pipeline, run, workers, run.staging if workers else "")
    pipeline.run().wait_until_finish()
    return summary_of(run)


def summary_of(run: Run) -> dict[str, Any]:
    """The summary of a run that has ended well."""
    path = journal.summary_path(run.root, run.id)
    found: dict[str, Any] = msgspec.json.decode(storage.read_bytes(path))
    return found


# Single steps


def read_events(
    folder: Path,
    events: Sequence[Event],
    *lines: str,
    number: int = versions.FIRST_BLOCK,
    buckets: int = 1,
    shards: int = 1,
    filter_size: delivery_keys.Size = NO_FILTER,
    scratch: str = "",
) -> read.BlockRead:
    """Reads and stages events, and any other lines, as one block."""
    path = deliver(folder / "blocks" / f"{number}.jsonl", events, *lines)
    (block,) = blocks.pack(blocks.cut(storage.match([str(path)]).files[0]), number)
    settings = decode.ReadSettings(
        run="r1",
        directory=new_run(folder).staging,
        sizes=Sizes(ID_SEED, buckets, shards, filter_size),
        max_event_bytes=1 << 20,
        scratch=scratch,
    )
    return read.read_block(block, settings)


def slices_of(block: read.BlockRead) -> list[staging.Slice]:
    """The slices of a block, destination by destination."""
    return [slice_ for slices in block.slices for slice_ in slices.each()]


def content_of(slice_: staging.Slice) -> pa.RecordBatch:
    """The staged rows of one slice."""
    (content,) = staging.read_slices([slice_])
    return content


def write_live(
    folder: Path, events: Sequence[Event], run_id: str = "r0", *, keeps_history: bool = False
) -> DataFile:
    """Writes events of one destination to one data file of the table at `folder`/out."""
    settings = encoding.WriteSettings(f"{folder}/out", run_id, 1 << 28, keeps_history)
    routed = [route.Routed(slices, b"") for slices in read_events(folder, events).slices]
    written, _ = write.write_shard(routed, settings)
    (file,) = written.files
    return file
