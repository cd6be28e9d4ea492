"""What a run leaves beside the table: summary, dead letters, catalogue, files in the ledger.

All of it is staged before the commit and kept after it: by the run itself, or by the next one if it
was killed in between. So no dead letter and no summary of a published run is lost on a local disk;
on an object store the next run reads the files again.

A journal names files by their names in the run's staging folder and never by a path, so it means
the same in a copy of the table, and cannot name anybody else's file.
"""

import contextlib
import os
from collections.abc import Iterable

import msgspec
import pyarrow as pa

from pipeline import notices, storage
from pipeline.bookkeeping import catalogues, ledger, listings, places, state, summary
from pipeline.bookkeeping.leases import DeadRun
from pipeline.bookkeeping.state import DamagedError
from pipeline.bookkeeping.summary import RunSummary
from pipeline.catalogue import nodes
from pipeline.catalogue.changes import changes
from pipeline.catalogue.nodes import Catalogue
from pipeline.storage import durable
from pipeline.storage.paths import STATE
from pipeline.table import delta
from pipeline.table.address import Table
from pipeline.table.delta import Snapshot

RUNS = f"{STATE}/runs"
REJECTS = f"{STATE}/rejects"

_STAGED = "journal.json"
# Files of dead letters that are read while one is copied. Each may be as large as a block.
_LETTERS_AHEAD = 4
# A name for each block: 100 TB of input have 200 MB of them.
_LIMIT_BYTES = 256 << 20
# Of what each file had: some millions of files.
_COUNTS_BYTES = 64 << 20
# Of what the run has seen in `data`: some ten thousand fields with their values.
_CATALOGUE_BYTES = 64 << 20


class Journal(msgspec.Struct, frozen=True):
    """What is known before the commit.

    Attributes:
        summary: The run's, without what only the commit makes known.
        inputs: The staged list of the files that were read; see `listings`.
        dead_letters: Staged files with rejects.
        table: The table's identity; "" if there was no table before.
        catalogue: What the run has seen in its events.
        files: What each of the files had, as `listings.pack` gives it; nothing if it is not known.
    """

    summary: RunSummary = msgspec.field(name="record")  # its name in earlier versions
    inputs: str
    dead_letters: list[str]
    table: str = ""
    catalogue: Catalogue = msgspec.field(default_factory=Catalogue)
    files: bytes = b""


def make(
    run_summary: RunSummary,
    staging: str,
    inputs: str,
    dead_letters: Iterable[str],
    table_id: str,
    catalogue: Catalogue | None = None,
) -> Journal:
    """Returns a run's journal.

    Args:
        run_summary: See `Journal`.
        staging: The folder that the following files lie in.
        inputs: The path of the list of files.
        dead_letters: The paths of files with rejects.
        table_id: See `Journal`.
        catalogue: See `Journal`; left out if it is too large for a journal.
    """
    letters = [_name(path, staging) for path in dead_letters]
    if catalogue is None or len(nodes.encode(catalogue)) > _CATALOGUE_BYTES:
        catalogue = Catalogue()
    return Journal(run_summary, _name(inputs, staging), letters, table_id, catalogue)


def with_counts(journal: Journal, counts: pa.Table) -> Journal:
    """Returns a journal that also says what each file had, unless that is too much for one.

    Args:
        journal: The journal.
        counts: A row for each file, see `counts` in `input`.
    """
    packed = listings.pack(counts)
    known = len(packed) <= _COUNTS_BYTES
    return msgspec.structs.replace(journal, files=packed if known else b"")


def summary_path(root: str, run_id: str) -> str:
    """Returns where a run's summary is kept."""
    return storage.join(root, RUNS, f"{run_id}.json")


def rejects_path(root: str, run_id: str) -> str:
    """Returns where a run's dead letters are kept, if it has any."""
    return storage.join(root, REJECTS, f"{run_id}.jsonl")


def recorded(root: str, run_id: str, asking: str) -> RunSummary | None:
    """Returns a run's summary; None if it is not kept, or damaged and so was set aside.

    Args:
        root: The table.
        run_id: The run whose summary it is.
        asking: The run that asks.
    """
    path = summary_path(root, run_id)
    try:
        found = summary.decode(state.read(path, _LIMIT_BYTES))
        if found.run == run_id:
            return found
        state.set_aside(path, asking, "is not the summary of its run")
    except FileNotFoundError:
        pass
    except (DamagedError, ValueError, RecursionError) as error:
        state.set_aside(path, asking, str(error) or "is not a run's summary")
    return None


def stage(journal: Journal, staging: str) -> None:
    """Stages a run's journal, to be found by the next run should this one be killed."""
    content = state.seal(msgspec.json.encode(journal))
    storage.write_bytes(storage.join(staging, _STAGED), content)
    names = (_STAGED, journal.inputs, *journal.dead_letters)
    durable.sync((storage.join(staging, name) for name in names), staging)


def keep(
    table: Table,
    run_id: str,
    staging: str,
    journal: Journal,
    published: int,
    now: Snapshot,
) -> RunSummary:
    """Keeps a journal beside the table; the summary comes last, so where it is, all is.

    Args:
        table: The table.
        run_id: The run, which is published.
        staging: Its staging folder.
        journal: Its journal.
        published: The version that made its events live.
        now: The table as it is now.

    Returns:
        The summary, complete.
    """
    root = table.root
    version = published if published >= 0 else now.version
    before = catalogues.keep(root, run_id, version, now.lineage, journal.catalogue)
    complete = msgspec.structs.replace(
        journal.summary,
        table=msgspec.structs.replace(
            journal.summary.table,
            rows=sum(file.rows for file in now.files),
            files=len(now.files),
            bytes=sum(file.bytes for file in now.files),
            partitions=len({file.destination for file in now.files}),
        ),
        new_types=_new_types(journal.summary, now),
        fields=changes(before, journal.catalogue),
    )
    letters = [storage.join(staging, name) for name in journal.dead_letters]
    rejects, path = rejects_path(root, run_id), summary_path(root, run_id)
    _keep_rejects(rejects, letters)
    inputs = storage.join(staging, journal.inputs)
    ledger.extend(table, inputs, published, now.lineage, run_id, journal.files)
    storage.write_bytes(path, summary.encode(complete))
    kept = (rejects, storage.join(root, ledger.LEDGER), path)
    durable.sync(filter(storage.exists, kept), root)
    return complete


def _new_types(found: RunSummary, now: Snapshot) -> list[tuple[str, str]]:
    """Returns which types are new of those that a run has written, and of which it replaced none.

    They are not if the table has files of them that others have written.
    """
    own = f"part-{found.run}-"
    others = {
        file.destination[:2]
        for file in now.files
        if not file.path.rpartition("/")[2].startswith(own)
    }
    return [one for one in found.new_types if one not in others]


def finish(table: Table, run: DeadRun, published: int, clearing: str = "run") -> None:
    """Keeps the journal of a run that was killed after its commit, unless it is kept.

    Args:
        table: The table.
        run: The run that was killed.
        published: The version that made its events live.
        clearing: The run that clears up.
    """
    root = table.root
    if recorded(root, run.id, clearing) is not None:
        return
    path = storage.join(run.staging, _STAGED)
    if not _is_own(path, run.staging, root):
        return
    try:
        journal = _checked(state.unseal(state.read(path, _LIMIT_BYTES)), run)
    except FileNotFoundError:  # another run is doing the same, and was faster
        return
    except (DamagedError, ValueError, RecursionError) as error:
        notices.say(
            f"run {run.id} was published in version {published}, but its journal is damaged"
            f" ({error}): its summary and dead letters are lost, and its files are read once more;"
            f" what is left of the journal is kept as {_set_aside(root, path, run, clearing)}"
        )
        return
    now = delta.load(table)
    if journal.table not in ("", now.lineage.identity):
        notices.say(f"the journal of run {run.id} is not about the table at {root}; it is ignored")
        return
    with contextlib.suppress(FileNotFoundError):  # as above
        keep(table, run.id, run.staging, journal, published, now)


def _name(path: str, staging: str) -> str:
    folder, _, name = path.rpartition("/")
    if folder != staging:
        raise ValueError(f"{path!r} is not staged in {staging!r}")
    return name


def _checked(content: bytes, run: DeadRun) -> Journal:
    """Returns a journal that is a run's own and names only what the run has staged."""
    journal = msgspec.json.decode(content, type=Journal)
    if journal.summary.run != run.id:
        raise DamagedError("it is not the journal of this run")
    for name in (journal.inputs, *journal.dead_letters):
        if "/" in name or name in ("", ".", "..") or "\0" in name:
            raise DamagedError(f"it names {name!r}, which cannot be staged")
        path = storage.join(run.staging, name)
        if storage.is_local(path) and os.path.lexists(path):
            os.close(state.open_regular(path))
    return journal


def _is_own(path: str, staging: str, root: str) -> bool:
    """Whether a staged file really lies in the staging folder of a run of the table."""
    if not storage.is_local(path):
        return True
    return storage.is_really_below(os.path.dirname(path), places.boundary(root, staging))


def _set_aside(root: str, path: str, run: DeadRun, clearing: str) -> str:
    """Moves a damaged journal to the summaries: its folder is about to go."""
    aside = f"{storage.join(root, RUNS, run.id)}.journal{places.DAMAGED}{clearing}"
    with contextlib.suppress(OSError):
        storage.copy(path, aside)
        return aside
    return "nothing"


def keep_rejects_only(root: str, run_id: str, dead_letters: Iterable[str]) -> None:
    """Keeps the dead letters of a run that is refused for having too many of them."""
    _keep_rejects(rejects_path(root, run_id), dead_letters)


def _keep_rejects(path: str, dead_letters: Iterable[str]) -> None:
    """Gathers a run's dead letters into one file beside the table."""
    staged = sorted(dead_letters)
    if not staged:
        return
    with storage.create(path) as target:
        target.writelines(storage.each(storage.read_bytes, staged, staged[0], _LETTERS_AHEAD))
