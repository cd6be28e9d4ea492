"""``python -m pipeline.compact --output DIR``: merges a table's small files.

A run folds small files into those that it writes anyway; partitions that get no more news keep what
they have. This tidies them all, in one commit that changes no row. It can run beside the job: if
another run commits first, it starts again.
"""

if __name__ == "__main__":  # before the imports that take time
    from pipeline import imports, signals

    signals.install("eventsift", "Nothing was published; the table is as it was.")
    imports.quieten()

import concurrent.futures
import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from apache_beam.options.pipeline_options import PipelineOptions

from pipeline import amounts, storage
from pipeline.amounts import counted
from pipeline.bookkeeping import ledger, places, recovery
from pipeline.command import attempts, beam_options, console, explain, options, reasons
from pipeline.errors import EventsiftError
from pipeline.keys.partitions import Destination, directory
from pipeline.notices import Work
from pipeline.rows import parquet
from pipeline.rows.encoding import WriteSettings
from pipeline.storage import stores
from pipeline.table import commits, datafiles, settling
from pipeline.table.address import Table
from pipeline.table.datafiles import DataFile

# Below this share of the target a file is small. What was merged once must not be merged again and
# again: a group that is too much for one file becomes two of at least half the target.
_SMALL = 1 / 4
# Footers to read at a time; on an object store that is waiting.
_FOOTERS = 16


class LostRowsError(EventsiftError):
    """The merged files do not have as many rows as those they replace; nothing was published."""


class Compacted(NamedTuple):
    """What compaction has done.

    Attributes:
        version: The table's version after it.
        partitions: How many partitions had files merged.
        before: How many files the table had before.
        after: How many files it has after.
        rows: How many rows were written again.
    """

    version: int
    partitions: int
    before: int
    after: int
    rows: int


def groups(
    files: Sequence[DataFile], sizes: Sequence[int], target_bytes: int
) -> Iterator[list[DataFile]]:
    """Finds what to merge in one destination: small files, in groups to become one file or two.

    Args:
        files: Its live files.
        sizes: Their bytes before compression.
        target_bytes: What a merged file should not exceed. A group exceeds it by one small file at
            most, which bounds the memory it takes.

    Yields:
        The files of each group.
    """
    group: list[DataFile] = []
    group_bytes = 0
    small = [pair for pair in zip(files, sizes, strict=True) if pair[1] < _SMALL * target_bytes]
    # In order of time, so that files of one day overlap little.
    for file, size in sorted(small, key=lambda pair: (pair[0].min_timestamp or 0, pair[0].path)):
        group.append(file)
        group_bytes += size
        if group_bytes >= target_bytes:
            yield group
            group, group_bytes = [], 0
    if len(group) > 1:
        yield group


def compact(
    table: Table,
    run_id: str,
    target_bytes: int,
    keep_seconds: float = 0.0,
    work: Work | None = None,
) -> Compacted:
    """Merges the small files of all partitions.

    Args:
        table: The table.
        run_id: Names the new files and the commit.
        target_bytes: What a file should not exceed, before compression.
        keep_seconds: How long superseded files stay; see `settling.settle`.
        work: Counts the bytes of the files that are merged.

    Raises:
        datafiles.ConflictError: Another run has committed meanwhile; nothing was published.
        datafiles.TableError: There is no table of ours, or it cannot be read or written.
        LostRowsError: Rows were lost in merging; nothing was published.
    """
    root = table.root
    snapshot = recovery.heal(table, run_id, keep_seconds)
    if snapshot.version < 0:
        raise datafiles.TableError(f"{root}: there is no table; --output names the table's folder")
    provenance = snapshot.layout.provenance
    settings = WriteSettings(root, run_id, target_bytes, keep_seconds > 0, provenance)
    found = list(_plan(root, snapshot.files, target_bytes))
    remove = [file for group in found for file in group]
    work = work or Work("merge")
    work.total = sum(file.bytes for file in remove)
    if remove:
        files = f"{counted(len(remove), 'file')}, {amounts.size(work.total)}"
        work.about = f"run {run_id}: {files} to merge"
    add: list[DataFile] = []
    for group in found:
        add += _merge(group, settings)
        work.done += sum(file.bytes for file in group)
        work.bytes = work.done
    if add:
        commits.commit(table, snapshot.version, run_id, add, remove, same_rows=True)
    after = settling.settle(table, keep_seconds)
    if add:
        ledger.refresh(table, after.lineage, run_id)
    return Compacted(
        after.version,
        len({file.destination for file in add}),
        len(snapshot.files),
        len(snapshot.files) + len(add) - len(remove),
        sum(file.rows for file in add),
    )


def _plan(root: str, files: Sequence[DataFile], target_bytes: int) -> Iterator[list[DataFile]]:
    """Yields the groups of all destinations; opens only small files that have a neighbour."""
    by_destination: defaultdict[Destination, list[DataFile]] = defaultdict(list)
    for file in files:
        if file.bytes < _SMALL * target_bytes:  # it is no smaller before compression
            by_destination[file.destination].append(file)
    several = [part for part in by_destination.values() if len(part) > 1]
    with concurrent.futures.ThreadPoolExecutor(_FOOTERS) as pool:
        sizes = pool.map(lambda file: parquet.content_bytes(file, root), itertools.chain(*several))
        for part in several:
            yield from groups(part, list(itertools.islice(sizes, len(part))), target_bytes)


def _merge(group: Sequence[DataFile], settings: WriteSettings) -> list[DataFile]:
    merged = parquet.merge_files(group, settings)
    before, after = (sum(file.rows for file in files) for files in (group, merged))
    if before != after:
        raise LostRowsError(
            f"{directory(group[0].destination)}: {before:,} rows became {after:,} when merged;"
            " nothing was published"
        )
    return merged


def main(arguments: Sequence[str]) -> int:
    """Runs the command.

    Returns:
        0 if the table is tidy now, 1 if it failed; 2 for a usage error.
    """
    parser = console.Parser(
        prog=console.name("compact", "pipeline.compact"),
        description="Merge the small files of a table; its rows stay the same.",
        epilog="Beam's options for object stores may follow, e.g. --s3_endpoint_url.",
        allow_abbrev=False,
    )
    options.add_table_arguments(parser)
    options.add_quiet(parser)
    beam_options.tell_beams_options(parser, arguments)
    own, rest = parser.parse_known_args(arguments)
    if not own.output:
        parser.error("--output is needed, the table's folder")
    engine = PipelineOptions(rest)
    beam_options.refuse_unknown(parser, engine, rest)
    root = storage.absolute(own.output)
    stores.configure(engine)
    problem = (
        explain.missing_extra(root)
        or explain.unusable_folder("--output", root)
        or explain.no_table(root, "there is no table")
    )
    if problem:
        console.say(f"eventsift: {problem}", error=True)
        return console.FAILED
    table = Table(root, stores.delta_options(root, engine))

    def work(run_id: str) -> int:
        counts = Work("merge")
        with console.telling(counts, "byte", quiet=own.quiet):
            done = compact(table, run_id, own.target_file_mb << 20, own.keep_history, work=counts)
        console.say(_report(done))
        return console.DONE

    # Nothing is staged.
    settings = attempts.Settings(
        table,
        places.default_temp(root),
        hints=lambda error: explain.no_room(root) if reasons.is_full(error) else "",
    )
    return attempts.repeat(work, settings)


def _report(done: Compacted) -> str:
    if not done.partitions:
        return f"Nothing to merge: {counted(done.after, 'file')}."
    return (
        f"{done.before:,} files became {done.after:,}: {counted(done.rows, 'row')} of"
        f" {counted(done.partitions, 'partition')} were written anew."
        f" Published as version {done.version}."
    )


if __name__ == "__main__":
    console.run(main)
