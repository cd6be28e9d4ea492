"""The catalogue of a whole table: every row is looked at, on all cores."""

import concurrent.futures
from collections.abc import Iterator, Sequence
from functools import partial

import msgspec
import pyarrow as pa

from pipeline import processes, storage
from pipeline.catalogue import merging, nodes, observe
from pipeline.catalogue.nodes import Catalogue, Node, Type
from pipeline.catalogue.observe import Payload
from pipeline.rows import live_rows
from pipeline.table.address import Table
from pipeline.table.datafiles import DataFile

_BATCH_ROWS = 1 << 15
# Of fewer compressed bytes all rows are seen before processes have started.
_PROCESSES_BYTES = 4 << 20
# Files of a store that are read at a time, and mostly waited for.
_WAITING = 16


def whole(table: Table, files: Sequence[DataFile]) -> Catalogue:
    """Returns the exact catalogue of some live files of a table.

    Raises:
        datafiles.ConflictError: A run has superseded a file meanwhile.
        datafiles.TableError: The table, or a file of it, cannot be read.
    """
    look = partial(of_file, table.root)
    # The largest first, so that no core is left with one at the end.
    ordered = sorted(files, key=lambda file: -file.bytes)
    if not storage.is_local(table.root):
        with concurrent.futures.ThreadPoolExecutor(_WAITING) as threads:
            return _merged(threads.map(look, ordered))
    workers = min(processes.available(), len(files))
    if workers > 1 and sum(file.bytes for file in files) >= _PROCESSES_BYTES:
        processes.start(workers)
        try:
            pool = processes.running()
            assert pool is not None
            return _merged(pool.map(look, ordered))
        finally:
            processes.stop()
    return _merged(map(look, ordered))


def of_file(root: str, file: DataFile) -> nodes.Encoded:
    """Returns the encoded catalogue of the rows of a live file."""
    return nodes.encode(observe.observe(_payloads(root, file)))


def _payloads(root: str, file: DataFile) -> Iterator[Payload]:
    domain, event_type = file.destination[:2]
    with live_rows.open_rows(root, file) as parquet:
        for rows in live_rows.batches(parquet, ["timestamp", "data"], _BATCH_ROWS):
            micros = rows["timestamp"].cast(pa.int64()).to_pylist()
            for at, data in zip(micros, rows["data"].to_pylist(), strict=True):
                # Another tool may have written nothing: that is no JSON.
                yield Payload(domain, event_type, at or 0, data or "")


def _merged(found: Iterator[nodes.Encoded]) -> Catalogue:
    return merging.merge_all(map(nodes.decode, found))


def with_runs(catalogue: Catalogue, seen: Catalogue) -> Catalogue:
    """Returns a catalogue with the runs that another one names: rows do not tell them.

    Args:
        catalogue: Of the whole table.
        seen: What runs have seen.
    """
    runs = {entry.name: entry.root for entry in seen.types}
    types = [
        Type(
            entry.domain,
            entry.event_type,
            _with_runs(entry.root, runs[entry.name]) if entry.name in runs else entry.root,
            entry.unreadable,
        )
        for entry in catalogue.types
    ]
    return Catalogue(types, catalogue.payloads, catalogue.more_types)


def _with_runs(node: Node, seen: Node) -> Node:
    members = {
        name: _with_runs(child, seen.members[name]) if name in seen.members else child
        for name, child in node.members.items()
    }
    elements = node.elements
    if elements is not None and seen.elements is not None:
        elements = _with_runs(elements, seen.elements)
    return msgspec.structs.replace(
        node,
        first_run=seen.first_run,
        last_run=seen.last_run,
        members=members,
        elements=elements,
    )
