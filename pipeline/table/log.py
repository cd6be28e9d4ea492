"""The files of the Delta log, read by themselves, for what deltalake does not tell.

That is: which files were removed and when, and when the table was set back to an older version.
(Delta protocol, "Delta Log Entries", "Checkpoints", "Action Reconciliation".) Only `storage` is
needed, so a worker without deltalake's storage options can ask, too.
"""

import contextlib
import datetime
import io
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.errors import EventsiftError
from pipeline.storage import FileInfo

FOLDER = "_delta_log"

# The version that a table was set back to, where the log does not say which it was.
UNKNOWN = -1

_WAY_OUT = "bring it back from a backup, or publish to a new folder"

_COMMIT = re.compile(r"(\d{20})\.json")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_BACKTRACE = re.compile(r"\n +0: .*", re.DOTALL)
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint(?:\.\d{10}\.(\d{10}))?\.parquet")


class _File(msgspec.Struct):
    path: str


class _Info(msgspec.Struct):
    operation: str | None = None
    timestamp: int | float | None = None
    operationParameters: dict[str, Any] | None = None


class _Line(msgspec.Struct):
    add: _File | None = None
    remove: _File | None = None
    commitInfo: _Info | None = None


_LINES = msgspec.json.Decoder(_Line)


def said(error: Exception | None) -> str:
    """Returns what deltalake says in one line, without its colours and its backtrace."""
    return " ".join(_BACKTRACE.sub("", _COLOUR.sub("", str(error))).split())


def why(root: str, error: Exception) -> str:
    """Says why deltalake cannot read the log: which file is damaged, if that can be told."""
    files = commits(root).values()
    try:
        for file in files:
            _decoded(file, _content(file))
    except (EventsiftError, OSError) as damage:
        return str(damage)
    return f"{said(error)}; {_WAY_OUT}" if files else said(error)


def check_kinds(root: str) -> None:
    """Raises an error if the log has a pipe or the like, on which readers wait for ever."""
    folder = storage.local(storage.join(root, FOLDER)) if storage.is_local(root) else ""
    if not os.path.isdir(folder):
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            is_read = entry.name.endswith((".json", ".parquet", "_last_checkpoint"))
            if is_read and not (entry.is_symlink() or entry.is_file()):
                raise EventsiftError(
                    f"{entry.path} is not a regular file; remove it, or bring the file of the Delta"
                    " log back from a backup"
                )


def commits(root: str) -> dict[int, FileInfo]:
    """Returns the commit files of the table at `root`, by their versions, ascending."""
    return _Listing.of(root).commits


def removed(root: str) -> set[str]:
    """Returns the paths of files that the log names as removed and not as added again since.

    The log forgets them some time after the commit that removed them; those of the newest
    checkpoint's own commit are always found.
    """
    found: set[str] = set()
    for kind, path in _actions(root, ["remove"]):
        if kind == "remove":
            found.add(path)
        else:
            found.discard(path)
    return found


def is_live(root: str, path: str) -> bool:
    """Tells whether the newest version of the table has the file `path`."""
    live = False
    for kind, other in _actions(root, ["remove", "add"]):
        if other == path:
            live = kind == "add"
    return live


def removed_since(root: str, since: float) -> set[str]:
    """Returns the files that were removed by commits written after `since`, by path."""
    paths = set()
    for file in commits(root).values():
        if file.modified > since:
            paths |= {path for kind, path in _of_commit(file) if kind == "remove"}
    return paths


def restores(
    root: str, since_version: int, files: Mapping[int, FileInfo] | None = None
) -> list[tuple[int, int]]:
    """Returns the commits after `since_version` that set the table back to an older version.

    Commits that the log has forgotten are not found.

    Args:
        root: The table.
        since_version: The last version that is not of interest.
        files: What `commits` returns, if that is known.

    Returns:
        For each the version that it made, and the version it set the table back to (`UNKNOWN`
        if the log does not say); ascending.
    """
    found = []
    files = commits(root) if files is None else files
    since = [version for version in files if version > since_version]
    contents = storage.each(_content, (files[version] for version in since), root)
    for version, content in zip(since, contents, strict=True):
        if b'"RESTORE"' not in content:  # a few bytes of up to many megabytes
            continue
        for line in _decoded(files[version], content):
            if line.commitInfo is not None and line.commitInfo.operation == "RESTORE":
                asked = line.commitInfo.operationParameters or {}
                found.append((version, _restored_to(files, version, asked)))
    return found


def _restored_to(files: Mapping[int, FileInfo], version: int, asked: Mapping[str, Any]) -> int:
    """Returns the version that RESTORE was asked for: by number, or as the newest at some time."""
    if asked.get("version") is not None:
        return int(asked["version"])
    millis = _millis(asked.get("datetime") or asked.get("timestamp"))
    if millis is None:
        return UNKNOWN
    before = [number for number in files if number < version]
    made = {number: _committed(files[number]) for number in before}
    return max((number for number in before if made[number] <= millis), default=UNKNOWN)


def _millis(instant: Any) -> int | None:
    """Reads an instant as delta-rs (milliseconds) or Spark (a date and time) writes it."""
    text = str(instant)
    if text.isdecimal():
        return int(text)
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    if found.tzinfo is None:
        return None  # of a time zone that only the writer knew
    return int(found.timestamp() * 1000)


def _committed(file: FileInfo) -> float:
    """Returns the latest time at which a commit may have been made, in milliseconds since 1970.

    Some tools go by what the commit says, some by the time of its file. The later one leads to the
    earlier version: then a table is taken to have lost more than it has, and not less.
    """
    said = [
        line.commitInfo.timestamp
        for line in _decoded(file, _content(file))
        if line.commitInfo is not None and line.commitInfo.timestamp is not None
    ]
    return max([*said, file.modified * 1000])


class _Listing(NamedTuple):
    """The log's files: those of commits by version, and those of the newest whole checkpoint."""

    commits: dict[int, FileInfo]
    checkpoint: int
    parts: list[FileInfo]

    @classmethod
    def of(cls, root: str) -> "_Listing":
        folder = storage.join(root, FOLDER)
        commit_files: dict[int, FileInfo] = {}
        checkpoints: defaultdict[tuple[int, int], list[FileInfo]] = defaultdict(list)
        for file in storage.list_files(folder):
            name = file.path[len(folder) + 1 :]
            if match := _COMMIT.fullmatch(name):
                commit_files[int(match[1])] = file
            elif match := _CHECKPOINT.fullmatch(name):
                checkpoints[int(match[1]), int(match[2] or 1)].append(file)
        whole = [key for key, files in checkpoints.items() if len(files) == key[1]]
        newest = max(whole, default=(-1, 0))
        return cls(dict(sorted(commit_files.items())), newest[0], checkpoints[newest])


def _actions(root: str, kinds: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yields the log's actions in their order: "add" or "remove", and the path on disk.

    They begin with those in the newest checkpoint that are of these kinds; it has each file once.
    It may have left out what its own commit has removed, so that commit is read as well.
    """
    listing = _Listing.of(root)
    for file in listing.parts:
        yield from _of_checkpoint(file, kinds)
    for version, file in listing.commits.items():
        if version >= listing.checkpoint:
            yield from _of_commit(file)


def _content(file: FileInfo) -> bytes:
    """Returns the content of a commit file; nothing if the log has forgotten it meanwhile."""
    with contextlib.suppress(FileNotFoundError):
        return storage.read_bytes(file.path)
    return b""


def _decoded(file: FileInfo, content: bytes) -> list[_Line]:
    try:
        return _LINES.decode_lines(content)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise EventsiftError(
            f"{file.path}: this file of the Delta log is damaged: {error}; {_WAY_OUT}"
        ) from error


def _of_commit(file: FileInfo) -> Iterator[tuple[str, str]]:
    for line in _decoded(file, _content(file)):
        for kind, action in (("remove", line.remove), ("add", line.add)):
            if action is not None:
                yield kind, unquote(action.path)


def _of_checkpoint(file: FileInfo, kinds: Sequence[str]) -> Iterator[tuple[str, str]]:
    content = pq.ParquetFile(io.BytesIO(storage.read_bytes(file.path)))
    names = {content.schema.column(number).path for number in range(len(content.schema))}
    for kind in kinds:
        if f"{kind}.path" in names:
            column = content.read([f"{kind}.path"], use_threads=False)[kind].combine_chunks()
            for path in pc.struct_field(column, "path").drop_null().to_pylist():
                yield kind, unquote(path)
