r"""``python -m pipeline.verify --output DIR``: is what is published right?

An independent check. It takes the table as its readers find it, the Delta log through `deltalake`
and the files through `pyarrow`, and shares nothing with the job but how files are listed, opened
and, where another Delta tool has written them, converted. It holds what it finds against what the
job promises:

* the files in the partitions are those that are live in the log, and nothing else is visible;
* what the log says of a file is true: size, rows, partition values, first and last timestamp
  (which need only bound those of a file that another Delta tool has written);
* every row lies in the partition of its own UTC date, and each file of ours is sorted by timestamp;
* ``data`` is JSON text, ``extra`` a JSON object or null, and nothing else is null;
* every event_id is there once in the whole table.

It prints a digest of the content as well, which depends neither on the order of the rows nor on how
they lie in files: two tables with one digest hold the same events. It is the sum, modulo 2^128, of
the 128-bit XXH3 hash of every row, written as the JSON array

    [event_id, microseconds since 1970, nanos, domain, event_type, data, extra]

in UTF-8, without spaces, with nothing escaped but ``"``, ``\`` and control characters.

Memory: a few batches of rows, and 8 bytes for every row of the table.
"""

import datetime
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from pipeline import storage
from pipeline.command import console, explain, options
from pipeline.errors import EventsiftError
from pipeline.table import deletable, log
from pipeline.verify.rows import Hashes, Live, batches, check_file, digest_of, hash_ids, is_ours

RIGHT, WRONG = 0, 1

_KEYS = ("domain", "event_type", "year", "month", "day")
_PARTITION = re.compile("/".join(f"{key}=([^/]+)" for key in _KEYS))
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_MODULUS = 1 << 128
# Repeated event_ids are sought out by hash. So many are looked up by name, to be sure that they are
# not two with one hash; and so many of those are shown.
_REPEATS_LOOKED_UP, _REPEATS_SHOWN = 1000, 10


class Verdict(NamedTuple):
    """The outcome of a check.

    Attributes:
        version: The table's.
        rows: In all live files.
        files: Live files.
        partitions: With live files.
        digest: Of the content; see the module.
        findings: One sentence for each thing that is wrong.
    """

    version: int
    rows: int
    files: int
    partitions: int
    digest: str
    findings: list[str]


def verify(root: str, storage_options: dict[str, str] | None = None) -> Verdict:
    """Checks a table.

    Args:
        root: The table's folder or URI.
        storage_options: What deltalake needs to reach an object store.

    Raises:
        EventsiftError: There is no table to check, or it changed meanwhile.
    """
    root = storage.absolute(root)
    version, live = _log(root, storage_options)
    findings = _files(root, live)
    rows = digest = 0
    id_hashes: list[Hashes] = []
    readable = []
    for file in live:
        try:
            content = check_file(root, file)
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
        findings += content.findings
    findings += _repeats(root, readable, id_hashes)
    if findings and (now := _log(root, storage_options)[0]) != version:
        raise EventsiftError(
            f"{root}: a run has published version {now} while version {version} was checked:"
            " check again"
        )
    partitions = len({file.values for file in live})
    return Verdict(version, rows, len(live), partitions, _hex(digest), findings)


def table_digest(root: str, storage_options: dict[str, str] | None = None) -> str:
    """The digest of the content of the table at `root`: 32 hexadecimal digits; see the module."""
    root = storage.absolute(root)
    _, live = _log(root, storage_options)
    return _hex(sum(digest_of(file, rows) for file in live for rows in batches(root, file)))


def _hex(digest: int) -> str:
    return f"{digest % _MODULUS:032x}"


def _log(root: str, storage_options: dict[str, str] | None) -> tuple[int, list[Live]]:
    """The version of the table, and its live files."""
    log.check_kinds(root)
    try:
        table = DeltaTable(root, storage_options=storage_options)
    except (DeltaError, OSError) as error:
        why = log.why(root, error)
        raise EventsiftError(f"{root}: not a table that can be checked: {why}") from error
    live = [
        Live(
            unquote(action["path"]),  # encoded in the log: Delta protocol, "Add File"
            action["size_bytes"],
            action.get("num_records"),
            tuple(action.get(f"partition.{key}") for key in _KEYS),
            _micros(action.get("min.timestamp")),
            _micros(action.get("max.timestamp")),
        )
        for action in pa.table(table.get_add_actions(flatten=True)).to_pylist()
    ]
    return table.version(), sorted(live, key=lambda file: file.path)


def _micros(instant: datetime.datetime | None) -> int | None:
    if instant is None:
        return None
    return (instant.replace(tzinfo=datetime.timezone.utc) - _EPOCH) // datetime.timedelta(0, 0, 1)


def _files(root: str, live: Sequence[Live]) -> list[str]:
    """What is wrong with names, sizes and folders."""
    findings = []
    there = [*storage.list_files(root), *storage.list_partitions(root, _KEYS)]
    listed = {file.path[len(root) + 1 :]: file.bytes for file in there}
    visible = {path for path in listed if not _hidden(path) and not _is_link(root, path)}
    seconds = _second_names(live, listed)
    strays = sorted(visible - {file.path for file in live} - set(seconds.values()))
    folders = list(_empty_folders(root))
    removed = log.removed(root) if strays or folders else set()
    dropped = deletable.named(strays, removed) | set(filter(is_ours, strays))
    for path in strays:
        heals = "; the job's next run deletes it" if path in dropped else ""
        findings.append(f"{path}: visible to readers, but not live in the log{heals}")
    for file in live:
        folder = _PARTITION.fullmatch(file.path.rpartition("/")[0])
        if file.path in seconds:
            pass
        elif _hidden(file.path):
            findings.append(f"{file.path}: not in its partition yet; the job's next run heals that")
        elif not folder:
            findings.append(f"{file.path}: not in a partition, {'/'.join(_KEYS)}")
        elif wrong := _misnamed(folder.groups(), file.values):
            findings.append(f"{file.path}: {wrong}")
        if listed.get(file.path, file.bytes) != file.bytes:
            findings.append(
                f"{file.path}: {listed[file.path]:,} bytes, the log says {file.bytes:,}"
            )
    # Other Delta tools delete files, and leave their folders; readers do not mind.
    left = {folder for path in removed for folder in _folders_of(path)}
    unsettled = {file.values for file in live if _hidden(file.path) and file.path not in seconds}
    for path in folders:
        partition = _PARTITION.fullmatch(path)
        awaits = partition and not all(_misnamed(partition.groups(), own) for own in unsettled)
        if path not in left and not awaits:
            heals = "; the job's next run removes it" if partition else ""
            findings.append(f"{path}: a folder without files{heals}")
    return findings


def _is_link(root: str, path: str) -> bool:
    """Whether a partition, or a folder of partitions, is a symbolic link, and listed as a file."""
    names = path.split("/")
    named = all(name.startswith(f"{key}=") for name, key in zip(names, _KEYS, strict=False))
    return named and len(names) <= len(_KEYS) and os.path.isdir(storage.join(root, path))


def _empty_folders(root: str) -> Iterator[str]:
    """The visible folders of a local table in which there is nothing."""
    if storage.is_local(root):
        for folder_path, folders, names in os.walk(root):
            path = os.path.relpath(folder_path, root)
            if not folders and not names and not _hidden(path):
                yield path


def _folders_of(path: str) -> Iterator[str]:
    """The folder of a file, and those above it in the table."""
    while path := path.rpartition("/")[0]:
        yield path


def _second_names(live: Iterable[Live], listed: Mapping[str, int]) -> dict[str, str]:
    """The places in their partitions of live files whose hidden names are kept for history.

    Hidden names lack the ending of data files, unless an earlier version of eventsift gave them.
    """
    places = {_bare_name(path): path for path in listed if not _hidden(path)}
    found = {}
    for file in live:
        place = places.get(_bare_name(file.path))
        if not _hidden(file.path) or place is None or listed[place] != file.bytes:
            continue
        folder = _PARTITION.fullmatch(place.rpartition("/")[0])
        if folder and not _misnamed(folder.groups(), file.values):
            found[file.path] = place
    return found


def _bare_name(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".parquet")


def _hidden(path: str) -> bool:
    """Whether readers of plain Parquet pass over it."""
    return any(name.startswith(("_", ".")) for name in path.split("/"))


def _misnamed(names: Sequence[str], values: Sequence[Any]) -> str | None:
    """Where the names of a partition's folders say something else than the log, if they do."""
    for key, name, value in zip(_KEYS, names, values, strict=True):
        text = unquote(name, errors="replace")
        if (int(text) if isinstance(value, int) and text.isdecimal() else text) != value:
            return f"{key} is {text!r} by its folder, the log says {value!r}"
    return None


def _repeats(root: str, live: Iterable[Live], id_hashes: Sequence[Hashes]) -> list[str]:
    """The event_ids that are there more than once."""
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
    parser = console.Parser(
        prog=console.name("verify", "pipeline.verify"),
        description="Check a published table: its log, its files and every row, independently of"
        " the job. Prints what is wrong, and a digest of the content.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--output", type=options.path, required=True, metavar="DIR", help="the table's folder"
    )
    parser.more_options = list
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
        verdict = verify(own.output)
    except (EventsiftError, OSError) as error:
        console.say(f"eventsift: {error}", error=True)
        return WRONG
    for finding in verdict.findings:
        console.say(finding)
    console.say(f"version     {verdict.version:,}")
    console.say(f"rows        {verdict.rows:,}")
    console.say(f"files       {verdict.files:,}")
    console.say(f"partitions  {verdict.partitions:,}")
    console.say(f"digest      {verdict.digest}")
    console.say(f"Wrong: {len(verdict.findings):,}" if verdict.findings else "Everything is right.")
    return WRONG if verdict.findings else RIGHT
