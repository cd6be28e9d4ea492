"""Which files of a table nobody needs any more: the rules by which `table.settle` deletes.

A file is deleted only if it was found by a listing of the table's own folders, and a log that was
read after that listing does not have it as live. A path from the log alone deletes nothing. Then:

* In the partitions goes what the log names as removed, whoever wrote it: readers of plain files
  must see what readers of the log see. So does what certainly is ours by its name, because our
  files appear there only after their commit. What others wrote and the log does not name stays: its
  commit may still be to come.
* Under the hidden folder, which is ours alone, goes what belongs to a run that is in the log, or
  is old. Files removed so lately that they are still to be kept stay.
* Through a symbolic link goes only what the log names as removed, by that very path, and only if
  no file that is to be kept is the same one by another path.

A file's age is reckoned from the newest file of the table if that is earlier than the clock: a
clock that jumps ahead makes nothing old.
"""

import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from pipeline import storage
from pipeline.datafiles import NEW_FOLDER, is_ours
from pipeline.log import Removed
from pipeline.partitions import PARTITION_COLUMNS, Destination, directory
from pipeline.storage import FileInfo

ABANDONED_SECONDS = 7 * 86_400.0
"""Longer than any run takes; until then the files of a run that died stay where they are."""

_PARTITION = re.compile("/".join(f"{column}=[^/]+" for column in PARTITION_COLUMNS))
_HIDDEN = re.compile(f"{re.escape(NEW_FOLDER)}/[^/]+")
# What all Delta tools call their data files.
_DATA_FILE = re.compile(r"part-[^/]+\.parquet")


def listed(root: str) -> dict[str, FileInfo]:
    """Returns the files in the partitions and under the hidden folder, by their relative paths."""
    found = [
        *storage.list_partitions(root, PARTITION_COLUMNS),
        *storage.list_files(storage.join(root, NEW_FOLDER)),
    ]
    return {file.path[len(root) + 1 :]: file for file in found}


def now(files: Iterable[FileInfo]) -> float:
    """Returns the time from which to reckon ages: by the clock, or the newest file if earlier."""
    return min(time.time(), max((file.modified for file in files), default=0.0))


def leftovers(
    root: str,
    files: Mapping[str, FileInfo],
    kept: Collection[str],
    removed: Callable[[], Mapping[str, Removed]],
    is_published: Callable[[str], bool],
    at: float,
) -> Iterator[str]:
    """Finds the files that nobody needs any more; see the module.

    Args:
        root: The table.
        files: What `listed` has found before the log was read.
        kept: The paths that the log has, or that are to be kept all the same.
        removed: Gives what the log names as removed; asked only where it matters.
        is_published: Tells whether the log has a run.
        at: The time from which to reckon ages; see `now`.

    Yields:
        Relative paths.
    """
    superfluous = [path for path in files if path not in kept]
    if not superfluous:
        return
    partitions = [path for path in superfluous if _PARTITION.match(path)]
    named = _superseded(removed()) if partitions else set()
    runs: dict[str, bool] = {}
    gone = []
    for path in superfluous:
        folder, _, name = path.rpartition("/")
        is_old = 0 < files[path].modified < at - ABANDONED_SECONDS
        if path.startswith(f"{NEW_FOLDER}/"):
            run_id = path.removeprefix(f"{NEW_FOLDER}/").partition("/")[0]
            if run_id not in runs:
                runs[run_id] = is_published(run_id)
            if is_old or runs[run_id]:
                gone.append(path)
        elif _PARTITION.fullmatch(folder) and (
            path in named
            or is_ours(name)
            or (is_old and name.startswith(".part-") and storage.is_temporary(name))
        ):
            gone.append(path)
    yield from deletable(root, gone, named, kept)


def deletable(
    root: str, paths: Iterable[str], named: Collection[str], kept: Collection[str]
) -> Iterator[str]:
    """Sorts out what must not be deleted because of a symbolic link on the way to it.

    Args:
        root: The table.
        paths: Relative paths.
        named: The paths that the log names as removed.
        kept: The paths that must stay.

    Yields:
        Those that lie where they seem to; and of the others those that are in `named` and are no
        file that must stay.
    """
    if not storage.is_local(root):
        yield from paths
        return
    real = _RealPaths(root)
    kept_places: set[str] | None = None
    for path in paths:
        if not real.is_linked(path):
            yield path
            continue
        if kept_places is None:
            kept_places = {real.of(other) for other in kept}
        name = path.rpartition("/")[2]
        if path in named and _DATA_FILE.fullmatch(name) and real.of(path) not in kept_places:
            yield path


def _superseded(removed: Mapping[str, Removed]) -> set[str]:
    """The paths of removed files, and the places in their partitions of those of ours."""
    paths = set(removed)
    for path, file in removed.items():
        folder, _, name = path.rpartition("/")
        destination = _destination(file.values)
        if destination is not None and _HIDDEN.fullmatch(folder):
            paths.add(f"{directory(destination)}/{name}")
    return paths


def _destination(values: Mapping[str, str | None]) -> Destination | None:
    found = [values.get(column) for column in PARTITION_COLUMNS]
    try:
        domain, event_type, *date = found
        return Destination(str(domain), str(event_type), *(int(str(part)) for part in date))
    except ValueError:
        return None


class _RealPaths:
    """Where paths lead, each folder looked up once."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._real_root = os.path.realpath(root)
        self._folders: dict[str, str] = {}

    def _folder(self, folder: str) -> str:
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(os.path.join(self._root, folder))
        return self._folders[folder]

    def of(self, path: str) -> str:
        """Returns the real place of a file; the file itself may be a link."""
        folder, _, name = path.rpartition("/")
        return os.path.join(self._folder(folder), name)

    def is_linked(self, path: str) -> bool:
        """Tells whether a link leads from the table's folder to that of the file."""
        folder = path.rpartition("/")[0]
        return self._folder(folder) != os.path.join(self._real_root, folder)
