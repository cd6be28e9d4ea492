"""The files of a table, checked by their names, sizes and folders; see `verify`."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from pipeline import storage
from pipeline.table import deletable, log
from pipeline.verify.rows import Live, is_ours

# The partition columns, in the order of a path's folders.
KEYS = ("domain", "event_type", "year", "month", "day")

_PARTITION = re.compile("/".join(f"{key}=([^/]+)" for key in KEYS))


def check_files(root: str, live: Sequence[Live]) -> list[str]:
    """Finds what is wrong with names, sizes and folders.

    Args:
        root: The table.
        live: Its live files, as the log describes them.

    Returns:
        A sentence for each finding.
    """
    findings = []
    there = [*storage.list_files(root), *storage.list_partitions(root, KEYS)]
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
            findings.append(f"{file.path}: not in a partition, {'/'.join(KEYS)}")
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
    """Tells whether a listed file is really a link to a partition, or to a folder of partitions."""
    names = path.split("/")
    named = all(name.startswith(f"{key}=") for name, key in zip(names, KEYS, strict=False))
    return named and len(names) <= len(KEYS) and os.path.isdir(storage.join(root, path))


def _empty_folders(root: str) -> Iterator[str]:
    """Yields the visible folders of a local table in which there is nothing."""
    if storage.is_local(root):
        for folder_path, folders, names in os.walk(root):
            path = os.path.relpath(folder_path, root)
            if not folders and not names and not _hidden(path):
                yield path


def _folders_of(path: str) -> Iterator[str]:
    """Yields the folder of a file, and each folder above it in the table."""
    while path := path.rpartition("/")[0]:
        yield path


def _second_names(live: Iterable[Live], listed: Mapping[str, int]) -> dict[str, str]:
    """Finds the places in their partitions of live files whose hidden names are kept for history.

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
    """Tells whether readers of plain Parquet pass over a path."""
    return any(name.startswith(("_", ".")) for name in path.split("/"))


def _misnamed(names: Sequence[str], values: Sequence[Any]) -> str | None:
    """Says where the names of a partition's folders differ from the log; None if nowhere."""
    for key, name, value in zip(KEYS, names, values, strict=True):
        text = unquote(name, errors="replace")
        if (int(text) if isinstance(value, int) and text.isdecimal() else text) != value:
            return f"{key} is {text!r} by its folder, the log says {value!r}"
    return None
