r"""``eventsift verify --output DIR``: is what is published right?

An independent check. It takes the table as its readers find it: the Delta log through `deltalake`,
the files through `pyarrow`. With the job it shares only how files are listed, opened and, where
another Delta tool has written them, converted; and the rules that say which findings the next run
heals. It holds what it finds against what the
job promises:

* the files in the partitions are those that are live in the log, and nothing else is visible;
* what the log says of a file is true: size, rows, partition values, first and last timestamp
  (which need only bound those of a file that another Delta tool has written);
* every row lies in the partition of its own UTC date, and each file of ours is sorted by timestamp;
* ``data`` is JSON text, ``extra`` a JSON object or null, and nothing else is null;
* every event_id is there once in the whole table.

With ``--answers`` or ``--input`` it also holds the table against what must be in it: `expected`
finds that out with code of its own, and `compare` finds each row that is lost, stale, misplaced or
altered, or must not be there, and each dead letter that is lost.

It prints a digest of the content as well, which depends neither on the order of the rows nor on how
they lie in files: two tables with one digest hold the same events. It is the sum, modulo 2^128, of
the 128-bit XXH3 hash of every row, written as the JSON array

    [event_id, microseconds since 1970, nanos, domain, event_type, data, extra]

in UTF-8, without spaces, with nothing escaped but ``"``, ``\`` and control characters.

Memory: a few batches of rows, and 8 bytes for every row of the table; 16 if it is compared, and
what `expected` needs.
"""

import datetime
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from pipeline import storage
from pipeline.amounts import counted, size
from pipeline.command import console, explain, options
from pipeline.errors import EventsiftError
from pipeline.input.fields import parsed, shown
from pipeline.notices import Work
from pipeline.table import log
from pipeline.verify import expected
from pipeline.verify.compare import Compared, Held, compare
from pipeline.verify.expected import Against
from pipeline.verify.files import KEYS, check_files
from pipeline.verify.rows import Hashes, Live, batches, check_file, hash_ids, hash_rows

RIGHT, WRONG = 0, 1

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_MODULUS = 1 << 128
# Repeated event_ids are found by hash. The first of them are looked up, since two ids may have one
# hash; and the first of these are shown.
_REPEATS_LOOKED_UP, _REPEATS_SHOWN = 1000, 10


class Verdict(NamedTuple):
    """The outcome of a check.

    Attributes:
        version: The table's version.
        rows: How many rows all live files have.
        files: How many live files there are.
        partitions: How many partitions have live files.
        digest: The digest of the content; see the module.
        findings: One sentence for each thing that is wrong.
        compared: The outcome of the comparison with what the table must hold, if there was one.
        fields: Where the fields of events are in the input, as the table keeps it; "" if they have
            their own names.
    """

    version: int
    rows: int
    files: int
    partitions: int
    digest: str
    findings: list[str]
    compared: Compared | None = None
    fields: str = ""


def verify(
    root: str,
    storage_options: dict[str, str] | None = None,
    against: Against | None = None,
    work: Work | None = None,
) -> Verdict:
    """Checks a table.

    Args:
        root: The table's folder or URI.
        storage_options: What deltalake needs to reach an object store.
        against: The files that say what the table must hold, if it is compared; see
            `expected.against`.
        work: Counts the bytes of the files that are checked.

    Raises:
        EventsiftError: There is no table to check, or it changed meanwhile; or what it must hold
            cannot be read.
    """
    root = storage.absolute(root)
    version, live, kept = _log(root, storage_options)
    fields, findings = kept, check_files(root, live)
    try:
        fields = shown(parsed(kept))
    except ValueError as error:
        findings.append(f"the columns' metadata has no map of fields: {kept!r}: {error}")
        against = None  # nobody can read the input
    rows = digest = 0
    id_hashes: list[Hashes] = []
    row_hashes: list[Hashes] = []
    readable = []
    work = work or Work("verify")
    work.total = sum(file.bytes for file in live)
    work.about = f"{counted(len(live), 'file')}, {size(work.total)} to check"
    for file in live:
        work.done = work.bytes
        work.bytes += file.bytes
        try:
            content = check_file(root, file, compared=against is not None)
        except FileNotFoundError:
            findings.append(f"{file.path}: live in the log, but not there")
            continue
        except (OSError, ValueError, pa.ArrowException) as error:
            findings.append(f"{file.path}: cannot be read: {error}")
            continue
        readable.append(file)
        rows += content.rows
        digest += content.digest
        id_hashes.append(content.id_hashes)
        row_hashes.append(content.row_hashes)
        findings += content.findings
    compared = None
    if against:
        work.total, work.about = 0, "reading what it must hold"
        compared = compare(Held(root, kept, readable, id_hashes, row_hashes), against)
        findings += compared.findings
    findings += _repeats(root, readable, id_hashes)
    if findings and (now := _log(root, storage_options)[0]) != version:
        raise EventsiftError(
            f"{root}: a run has published version {now} while version {version} was checked:"
            " check again"
        )
    partitions = len({file.values for file in live})
    return Verdict(version, rows, len(live), partitions, _hex(digest), findings, compared, fields)


def table_digest(root: str, storage_options: dict[str, str] | None = None) -> str:
    """Returns the digest of a table's content, 32 hexadecimal digits; see the module."""
    root = storage.absolute(root)
    _, live, _ = _log(root, storage_options)
    hashes = (hash_rows(file, rows) for file in live for rows in batches(root, file))
    return _hex(sum(map(sum, hashes)))


def _hex(digest: int) -> str:
    return f"{digest % _MODULUS:032x}"


def _log(root: str, storage_options: dict[str, str] | None) -> tuple[int, list[Live], str]:
    """Returns the version of the table, its live files, and the map of fields it keeps."""
    log.check_kinds(root)
    try:
        table = DeltaTable(root, storage_options=storage_options)
    except (DeltaError, OSError) as error:
        why = log.why(root, error)
        raise EventsiftError(f"{root}: not a table that can be checked: {why}") from error
    kept = {field.name: field.metadata.get("eventsift.field") for field in table.schema().fields}
    live = [
        Live(
            unquote(action["path"]),  # encoded in the log: Delta protocol, "Add File"
            action["size_bytes"],
            action.get("num_records"),
            tuple(action.get(f"partition.{key}") for key in KEYS),
            _micros(action.get("min.timestamp")),
            _micros(action.get("max.timestamp")),
            "source_file" in kept,
        )
        for action in pa.table(table.get_add_actions(flatten=True)).to_pylist()
    ]
    fields = ",".join(f"{name}={path}" for name, path in kept.items() if path is not None)
    return table.version(), sorted(live, key=lambda file: file.path), fields


def _micros(instant: datetime.datetime | None) -> int | None:
    if instant is None:
        return None
    return (instant.replace(tzinfo=datetime.timezone.utc) - _EPOCH) // datetime.timedelta(0, 0, 1)


def _repeats(root: str, live: Iterable[Live], id_hashes: Sequence[Hashes]) -> list[str]:
    """Finds the event_ids that are there more than once."""
    hashes = np.sort(np.concatenate([np.empty(0, np.uint64), *id_hashes]))
    repeated = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
    if not len(repeated):
        return []
    places: dict[str, list[str]] = {}
    for file, own in zip(live, id_hashes, strict=True):
        if np.isin(own, repeated[:_REPEATS_LOOKED_UP]).any():
            for batch in batches(root, file):
                ids = batch["event_id"].drop_null()
                for row in np.flatnonzero(np.isin(hash_ids(ids), repeated[:_REPEATS_LOOKED_UP])):
                    places.setdefault(ids[int(row)].as_py(), []).append(file.path)
    twice = {event_id: paths for event_id, paths in places.items() if len(paths) > 1}
    findings = [
        f"event_id {event_id!r} is there {len(paths):,} times: {', '.join(sorted(set(paths))[:3])}"
        for event_id, paths in sorted(twice.items())[:_REPEATS_SHOWN]
    ]
    more = len(twice) - len(findings) + max(0, len(repeated) - _REPEATS_LOOKED_UP)
    return [*findings, f"{more:,} more event_ids are there more than once"] if more else findings


def main(arguments: Sequence[str]) -> int:
    """Checks a table and prints what was found.

    Returns:
        0 if everything is right, 1 if not or if there is no table, 2 for a usage error.
    """
    parser = _parser()
    own = parser.parse_args(arguments)
    root = storage.absolute(own.output)
    problem = (
        explain.missing_extra(root)
        or explain.not_a_folder("--output", root)
        or explain.no_table(root)
    )
    if problem:
        console.say(f"eventsift: {problem}", error=True)
        return WRONG
    try:
        work = Work("verify")
        with console.telling(work, "byte", quiet=own.quiet):
            against = None
            if own.answers or own.input:
                against = expected.against(own.answers, own.input, root)
            verdict = verify(own.output, against=against, work=work)
    except (EventsiftError, OSError) as error:
        console.say(f"eventsift: {error}", error=True)
        return WRONG
    for finding in verdict.findings:
        console.say(storage.shown(finding))
    console.say(f"version     {verdict.version:,}")
    console.say(f"rows        {verdict.rows:,}")
    console.say(f"files       {verdict.files:,}")
    console.say(f"partitions  {verdict.partitions:,}")
    console.say(f"digest      {verdict.digest}")
    if verdict.compared:
        kept, rejected, _ = verdict.compared
        both = " (by answers and by input)" if own.answers and own.input else ""
        console.say(f"compared    {kept:,} events that must be there, {rejected:,} rejects{both}")
    if verdict.fields:
        console.say(f"fields      {verdict.fields}")
    console.say(f"Wrong: {len(verdict.findings):,}" if verdict.findings else "Everything is right.")
    if verdict.findings:
        console.say(
            "Bring missing or damaged files back from a backup, or make the table again from its"
            " sources: `run --rebuild`."
        )
    return WRONG if verdict.findings else RIGHT


def _parser() -> console.Parser:
    parser = console.Parser(
        prog=console.name("verify", "pipeline.verify"),
        description="Check a published table: its log, its files and every row, independently of"
        " the job. Prints what is wrong, and a digest of the content.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--output", type=options.path, required=True, metavar="DIR", help="the table's folder"
    )
    options.add_paths(
        parser,
        "--answers",
        "FILE",
        "compare the table with what generate --answers has written; give the files of all"
        " deliveries",
    )
    options.add_paths(
        parser,
        "--input",
        "PATTERN",
        "compare the table with these input files, which must be all files that were"
        " published to it; they are read by separate, slow code",
    )
    options.add_quiet(parser)
    parser.more_options = list
    return parser
