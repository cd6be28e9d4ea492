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
import functools
import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from apache_beam.options.pipeline_options import PipelineOptions

from pipeline import signals, storage
from pipeline.bookkeeping import leases, ledger, places, recovery
from pipeline.bookkeeping.leases import DeadRun
from pipeline.command import console, explain, options, runners, stopped
from pipeline.errors import EventsiftError
from pipeline.keys.partitions import Destination, directory
from pipeline.rows import parquet
from pipeline.rows.encoding import WriteSettings
from pipeline.run import new_run_id
from pipeline.storage import stores
from pipeline.table import datafiles, delta
from pipeline.table.datafiles import DataFile

DONE, FAILED = 0, 1

# How often to start again when another run has committed first.
_ATTEMPTS = 3
# Below this share of the target a file is small. What was merged once must not be merged again and
# again: where a group is too much for one file, two of half the target or more come of it.
_SMALL = 1 / 4
# Footers to read at a time; on an object store that is waiting.
_FOOTERS = 16


class LostRowsError(EventsiftError):
    """The merged files do not have as many rows as those they replace; nothing was published."""


class Compacted(NamedTuple):
    """What compaction has done.

    Attributes:
        version: Of the table, after it.
        partitions: That had files merged.
        before: Files in the table before.
        after: Files in the table after.
        rows: Written anew.
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
        target_bytes: What a merged file should not exceed; a group does so by one small file at
            most, which bounds the memory it takes.
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
    root: str,
    run_id: str,
    target_bytes: int,
    storage_options: dict[str, str] | None = None,
    keep_seconds: float = 0.0,
) -> Compacted:
    """Merges the small files of all partitions.

    Args:
        root: The table.
        run_id: Names the new files and the commit.
        target_bytes: What a file should not exceed, reckoned before compression.
        storage_options: What deltalake needs to reach the table's store.
        keep_seconds: How long superseded files stay; see `delta.settle`.

    Raises:
        datafiles.ConflictError: Another run has committed meanwhile; nothing was published.
        datafiles.TableError: There is no table of ours, or it cannot be read or written.
        LostRowsError: See there.
    """
    dead = leases.dead(root, run_id)
    snapshot = delta.settle(root, storage_options, keep_seconds)
    recovery.clear(root, run_id, dead, storage_options)
    if snapshot.version < 0:
        raise datafiles.TableError(f"{root}: there is no table; --output names the table's folder")
    settings = WriteSettings(root, run_id, target_bytes, keep_seconds > 0)
    found = list(_plan(root, snapshot.files, target_bytes))
    add = [file for group in found for file in _merge(group, settings)]
    remove = [file for group in found for file in group]
    if add:
        delta.commit(root, snapshot, run_id, add, remove, storage_options, same_rows=True)
    after = delta.settle(root, storage_options, keep_seconds)
    if add:
        ledger.refresh(root, storage_options, run_id)
    return Compacted(
        after.version,
        len({file.destination for file in add}),
        len(snapshot.files),
        len(snapshot.files) + len(add) - len(remove),
        sum(file.rows for file in add),
    )


def _plan(root: str, files: Sequence[DataFile], target_bytes: int) -> Iterator[list[DataFile]]:
    """The groups of all destinations; opens only files that may be small and have a neighbour."""
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
    """The command.

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
    runners.tell_beams_options(parser, arguments)
    own, rest = parser.parse_known_args(arguments)
    if not own.output:
        parser.error("--output is needed, the table's folder")
    beam_options = PipelineOptions(rest)
    runners.refuse_unknown(parser, beam_options, rest)
    root = storage.absolute(own.output)
    if problem := explain.missing_extra(root) or explain.not_a_folder("--output", root):
        console.say(f"eventsift: {problem}", error=True)
        return FAILED
    stores.configure(beam_options)
    delta_options = stores.delta_options(root, beam_options)
    target_bytes = own.target_file_mb << 20
    for attempt in range(_ATTEMPTS):
        run_id = new_run_id()
        staging = places.staging(root, places.default_temp(root), run_id)  # nothing will be there
        interrupted = stopped.Stopped(root, run_id, staging, delta_options, all_ended=True)
        with signals.before_ending(functools.partial(stopped.take_over, interrupted)):
            try:
                # A folder that is somebody else's gets no mark of ours.
                identity = recovery.secure(root, run_id, delta_options)
                with leases.hold(root, run_id, staging, identity):
                    done = compact(root, run_id, target_bytes, delta_options, own.keep_history)
                console.say(_report(done))
                return DONE
            except (EventsiftError, OSError) as error:
                version = recovery.abandon(root, DeadRun(run_id, staging), delta_options)
                if isinstance(error, datafiles.ConflictError) and attempt < _ATTEMPTS - 1:
                    console.say("eventsift: another run was faster; starting again", error=True)
                    continue
                console.say(f"eventsift: {error}", error=True)
                console.say(recovery.outcome(version), error=True)
                return FAILED
    raise AssertionError("the last attempt returns")


def _report(done: Compacted) -> str:
    if not done.partitions:
        return f"Nothing to merge: {done.after:,} files."
    return (
        f"{done.before:,} files became {done.after:,}: {done.rows:,} rows of"
        f" {done.partitions:,} partitions were written anew. Published as version {done.version}."
    )


if __name__ == "__main__":
    console.run(main)
