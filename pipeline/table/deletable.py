"""Which files of a table nobody needs any more: the rules by which settling deletes.

A file is deleted only if it was found by a listing of the table's own folders, and a log that was
read after that listing does not have it as live. A path from the log alone deletes nothing. Then:

* In the partitions goes what the log names as removed, whoever wrote it: readers of plain files
  must see what readers of the log see. So does what certainly is ours by its name, because our
  files appear there only after their commit. Others' files that the log does not
  name stay: they may be committed later.
* Under the hidden folder, which is ours alone, goes what belongs to a run that is in the log, or
  is old. Files removed so lately that they are still to be kept stay.
* Through a symbolic link goes only what the log names as removed and what is called as data files
  are, and only if no file that is to be kept is the same one by another path.

A file's age is counted from the clock, or from the newest file of the table if that is earlier: a
clock that jumps ahead makes nothing old.
"""

import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from pipeline import storage
from pipeline.keys.partitions import PARTITION_COLUMNS
from pipeline.storage import FileInfo
from pipeline.table.datafiles import LEASES_FOLDER, NEW_FOLDER, is_ours, relative, settled_name
from pipeline.table.retention import ABANDONED_SECONDS

# What all Delta tools call their data files.
_DATA_FILE = re.compile(r"part-[^/]+\.parquet")


def listed(root: str) -> dict[str, FileInfo]:
    """Returns the files in the partitions and under the hidden folder, by their relative paths."""
    found = storage.list_partitions(root, PARTITION_COLUMNS, also=NEW_FOLDER)
    return {relative(root, file): file for file in found}


def now(files: Iterable[FileInfo]) -> float:
    """Returns the time to count ages from: the clock's, or the newest file's if that is earlier."""
    return min(time.time(), max((file.modified for file in files), default=0.0))


def leftovers(
    root: str,
    files: Mapping[str, FileInfo],
    kept: Collection[str],
    removed: Callable[[], Collection[str]],
    is_published: Callable[[str], bool],
    at: float,
) -> Iterator[str]:
    """Finds the files that nobody needs any more; see the module.

    Args:
        root: The table.
        files: What `listed` has found before the log was read.
        kept: The paths that the log has, and others that must stay.
        removed: Gives what the log names as removed; asked only where it matters.
        is_published: Tells whether the log has a run.
        at: The time to count ages from; see `now`.

    Yields:
        Relative paths.
    """
    superfluous = [path for path in files if path not in kept]
    runs: dict[str, bool] = {}
    certain, in_question = [], []
    for path in superfluous:
        name = path.rpartition("/")[2]
        is_old = 0 < files[path].modified < at - ABANDONED_SECONDS
        if path.startswith(f"{NEW_FOLDER}/"):
            run_id = path.removeprefix(f"{NEW_FOLDER}/").partition("/")[0]
            if run_id not in runs:
                runs[run_id] = is_published(run_id)
            if runs[run_id] or (is_old and not _has_lease(root, run_id)):
                certain.append(path)
        elif is_ours(name) or (is_old and name.startswith(".part-") and storage.is_temporary(name)):
            certain.append(path)
        elif name.endswith(".parquet"):
            in_question.append(path)
    yield from deletable(root, certain, in_question, removed, kept)


def _has_lease(root: str, run_id: str) -> bool:
    """Tells whether a run is alive, or dead and not yet cleared by `recovery`; see `leases`."""
    lease = storage.join(root, LEASES_FOLDER, run_id)
    return storage.is_local(root) and os.path.lexists(lease)


def deletable(
    root: str,
    certain: Iterable[str],
    in_question: Iterable[str],
    removed: Callable[[], Collection[str]],
    kept: Collection[str],
) -> Iterator[str]:
    """Yields what may be deleted: no link leads to it, or the log names it as removed.

    Args:
        root: The table.
        certain: Relative paths of files that nobody needs, unless a link leads to them.
        in_question: Relative paths of files that nobody needs if the log names them as removed.
        removed: Gives what the log names as removed; asked only where it matters.
        kept: The paths that must stay.

    Yields:
        Relative paths.
    """
    links = _Links(root)
    uncertain = list(in_question)
    for path in certain:
        if links.lead_to(path):
            uncertain.append(path)
        else:
            yield path
    if not uncertain:
        return
    stay: set[str] | None = None
    for path in sorted(named(uncertain, removed())):
        if links.lead_to(path):
            if stay is None:
                stay = {links.real(other) for other in kept}
            if links.real(path) in stay or not _DATA_FILE.fullmatch(path.rpartition("/")[2]):
                continue
        yield path


def named(paths: Iterable[str], removed: Collection[str]) -> set[str]:
    """Returns those paths that the log names as removed, itself or the file's hidden name."""
    hidden = {settled_name(path) for path in removed if path.startswith(f"{NEW_FOLDER}/")}
    return {path for path in paths if path in removed or path.rpartition("/")[2] in hidden}


class _Links:
    """The symbolic links on the way from a table's folder to its files; each is looked up once."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._linked = {"": False}
        self._real: dict[str, str] = {}
        self._are_possible = storage.is_local(root)

    def lead_to(self, path: str) -> bool:
        """Tells whether the folder of a file, or one above it in the table, is a link."""
        return self._are_possible and self._is_linked(path.rpartition("/")[0])

    def _is_linked(self, folder: str) -> bool:
        if folder not in self._linked:
            above = folder.rpartition("/")[0]
            link = os.path.islink(os.path.join(self._root, folder))
            self._linked[folder] = link or self._is_linked(above)
        return self._linked[folder]

    def real(self, path: str) -> str:
        """Returns the place of a file without links; the file itself may be one."""
        folder, _, name = path.rpartition("/")
        if folder not in self._real:
            self._real[folder] = os.path.realpath(os.path.join(self._root, folder))
        return os.path.join(self._real[folder], name)
