"""Places: which folders are a run's own.

A table keeps everything of its own in one folder, `STATE`. A run stages there, or in a folder of
the same name below ``--temp``, which tables may share: so whatever a run stages lies in a folder
called `STATE`, in one called like the run.
"""

import contextlib
import os
import re

from pipeline import storage
from pipeline.storage.paths import STATE

# What is set aside is renamed to its name, this, and the id of the run that did it.
DAMAGED = ".damaged-"

# Within the table; where its runs stage if no other folder is given.
TEMP_FOLDER = f"{STATE}/temp"

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def is_run_id(name: str) -> bool:
    """Tells whether a run may be called that."""
    return _RUN_ID.fullmatch(name) is not None and DAMAGED not in name


def default_temp(root: str) -> str:
    """Returns the temp folder of the table at `root` where no other is given."""
    return storage.join(root, TEMP_FOLDER)


def temp_folder(root: str, given: str | None) -> str:
    """Returns the temp folder to use: the default one if `given` is the table's folder or in it.

    Args:
        root: The table.
        given: What the user asks for; None or "" for nothing.
    """
    if not given or is_inside(given, root):
        return default_temp(root)
    return storage.absolute(given)


def staging(root: str, temp: str, run_id: str) -> str:
    """Returns the folder in which a run stages everything."""
    if temp == default_temp(root):
        return storage.join(temp, run_id)
    return storage.join(temp, STATE, run_id)


def inside(run_id: str) -> str:
    """Returns the staging folder of a run that stages in its table, relative to the table."""
    return f"{TEMP_FOLDER}/{run_id}"


def boundary(root: str, staged: str) -> str:
    """Returns the folder that a run's staging folder has to lie below: the table, or temp."""
    in_table = storage.join(root, inside(staged.rpartition("/")[2]))
    return root if staged == in_table else staged.rpartition("/")[0].rpartition("/")[0]


def is_inside(path: str, folder: str) -> bool:
    """Tells whether `path` is `folder` or lies in it, however the two are spelled."""
    if storage.is_local(path) != storage.is_local(folder):
        return False
    if not storage.is_local(path):
        path, folder = (re.sub(r"(?<!:)/+", "/", f"{name}/") for name in (path, folder))
        return path.startswith(folder)
    path, folder = (os.path.realpath(storage.local(name)) for name in (path, folder))
    while True:
        same = path == folder
        with contextlib.suppress(OSError):  # by inode: capitals, and mounts at two places
            same = same or os.path.samefile(path, folder)
        parent = os.path.dirname(path)
        if same or parent == path:
            return same
        path = parent


def missing(folder: str) -> str:
    """Returns the topmost of the local folders on the way to `folder` that is not there yet."""
    made = ""
    while folder and not os.path.lexists(folder):
        made, folder = folder, os.path.dirname(folder)
    return made


def remove_empty(staged: str, made: str) -> None:
    """Removes the local folders around a staging folder that are a run's own and empty now.

    Args:
        staged: The run's staging folder, which is gone.
        made: The topmost folder that the run has made; "" if it has made none above `STATE`.
    """
    folder = os.path.dirname(staged)
    ours = os.path.basename(folder) in (STATE, "temp")
    with contextlib.suppress(OSError):  # somebody else is using it
        while ours or (made and is_below(folder, made)):
            os.rmdir(folder)
            folder, ours = os.path.dirname(folder), False


def is_below(path: str, folder: str) -> bool:
    """Tells whether a normal local path is `folder` or lies in it, by their names alone."""
    return path == folder or path.startswith(f"{folder}/")
