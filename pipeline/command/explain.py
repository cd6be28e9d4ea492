"""Why a path on the command line cannot be used, and the way out: one sentence each."""

import errno
import importlib.util
import os
import re
import stat
import sys

import pipeline
from pipeline import storage
from pipeline.input import contracts
from pipeline.storage import stores

_HIDDEN = (".", "_")
_WILDCARD = re.compile(r"[*?[]")
_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISREG, "a file"),
)
# A disk with less room than this is why a write has failed.
_LITTLE_BYTES = 16 << 20
_STORES = ("s3", "gs", "hdfs")
_STREAMS = ("a pipe", "a socket", "a device")


def missing_extra(path: str) -> str | None:
    """Returns what has to be installed before a path can be reached; None if nothing has."""
    if storage.is_local(path):
        return None
    scheme = path.partition("://")[0]
    if scheme not in _STORES:
        known = ", ".join(f"{store}://" for store in _STORES)
        return f"{path}: there is no store {scheme}://; give a local path, or one of {known}"
    if scheme != "s3" or not stores.has_profile() or importlib.util.find_spec("boto3"):
        return None
    return (
        f"{path}: a profile of AWS's tools needs the extra 'aws', which is not installed; set"
        f" AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or install it with: {_install('aws')}"
    )


def missing_contracts() -> str | None:
    """Returns what has to be installed before contracts can be checked; None if nothing has."""
    if contracts.is_installed():
        return None
    return (
        "--contract needs the extra 'contracts', which is not installed; install it with:"
        f" {_install('contracts')}"
    )


def _install(extra: str) -> str:
    """Returns the command that installs an extra."""
    # In a checkout it comes with the tested versions.
    checkout = os.path.dirname(os.path.dirname(os.path.abspath(pipeline.__file__)))
    what = f"'eventsift[{extra}]'"
    if os.path.isfile(os.path.join(checkout, "setup.py")):
        what = f"-c '{checkout}/requirements.txt' -e '{checkout}[{extra}]'"
    return f"{sys.executable} -m pip install {what}"


def not_a_folder(option: str, path: str) -> str | None:
    """Returns what is in the place of a folder; None if a folder is or can be made there.

    Args:
        option: The option that names the folder.
        path: The folder; local paths are absolute.
    """
    if not storage.is_local(path):
        return None
    there = _first_existing(path)
    if os.path.isdir(there):
        return None
    kind = _kind(there) or "a broken symbolic link"
    below = "" if there == path else f" lies below {there}, which"
    table = _table_around(there)
    way_out = f"it belongs to the table {table}: give that" if table else "give a folder"
    return f"{option} {path}{below} is {kind}, not a folder; {way_out}"


def no_table(path: str, what: str = "not a table that can be checked") -> str | None:
    """Returns why a local folder is no table; None if it may be one.

    Args:
        path: The folder.
        what: What the sentence says of it.
    """
    if not storage.is_local(path) or os.path.exists(os.path.join(path, "_delta_log")):
        return None
    if os.path.isdir(path) and not os.access(path, os.R_OK | os.X_OK):
        return f"{path}: {what}: the folder cannot be read; change its permissions"
    why = "it has no _delta_log"
    if not os.path.lexists(path):
        why = f"there is no such folder{near(path)}"
    return f"{path}: {what}: {why}; --output names the table's folder"


def near(path: str) -> str:
    """Returns the question whether another path was meant, in brackets; "" if none is alike."""
    import difflib  # only for those who mistype

    there = _first_existing(path)
    if there == path or not os.access(there, os.R_OK | os.X_OK):
        return ""
    name, *rest = os.path.relpath(path, there).split(os.sep)
    found = difflib.get_close_matches(name, os.listdir(there), 1, cutoff=0.6)
    return f" (did you mean {os.path.join(there, found[0], *rest)}?)" if found else ""


def no_room(*folders: str) -> str:
    """Returns which folders have no room left, and the way out, as the end of a sentence."""
    full: dict[int, str] = {}  # by disk
    for folder in filter(storage.is_local, folders):
        there = _first_existing(folder)
        disk = os.statvfs(there)
        if disk.f_bavail * disk.f_frsize < _LITTLE_BYTES:
            full.setdefault(os.stat(there).st_dev, folder)
    where = f" ({' and '.join(full.values())})" if full else ""
    return f"{where}; free some"


def unusable_folder(option: str, path: str) -> str | None:
    """Returns why no file can be made in a folder that is or will be there; None if one can.

    Args:
        option: The option that names the folder.
        path: The folder; local paths are absolute.
    """
    if (found := not_a_folder(option, path)) or not storage.is_local(path):
        return found
    there = _first_existing(path)
    if os.access(there, os.W_OK | os.X_OK):
        return None
    where = "it" if there == path else f"the folder {there}"
    if os.statvfs(there).f_flag & os.ST_RDONLY:
        why, way_out = os.strerror(errno.EROFS), "give another folder"
    else:
        why, way_out = os.strerror(errno.EACCES), "change its permissions, or give another folder"
    return f"{option} {path}: {where} cannot be written ({why}); {way_out}"


def stream_input(pattern: str) -> str | None:
    """Returns why an input cannot be read more than once; None if it is no pipe or device."""
    if not storage.is_local(pattern):
        return None
    kind = _kind(storage.local(pattern))
    if kind not in _STREAMS:
        return None
    return f"--input {pattern} is {kind}; write it to a file first, and give that file"


def no_match(pattern: str) -> str:
    """Returns why an input pattern matches no file, as the end of a sentence."""
    if not storage.is_local(pattern):
        return "nothing is there, or only names that begin with . or _"
    path = os.path.abspath(storage.local(pattern))
    if os.path.isdir(path):
        return _in_folder(path)
    folder = os.path.dirname(path)
    if found := _WILDCARD.search(path):
        folder = os.path.dirname(path[: found.start() + 1])
    if not os.path.isdir(folder):
        return f"there is no folder {folder}{near(folder)}"
    if not found:
        return f"the folder {folder} has no such file{near(path)}"
    hint = "" if "**" in path else "; ** also looks in the folders below"
    return f"{_in_folder(folder)}{hint}"


def _in_folder(folder: str) -> str:
    try:
        names = os.listdir(folder)
    except OSError as error:
        return f"the folder {folder} cannot be listed: {error.strerror}"
    if not names:
        return f"the folder {folder} is empty"
    visible = [name for name in names if not name.startswith(_HIDDEN)]
    if not visible:
        return f"the folder {folder} has only hidden files (their names begin with . or _)"
    return f"nothing in the folder {folder} fits ({min(visible)!r} is there)"


def _first_existing(path: str) -> str:
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return path


def _kind(path: str) -> str | None:
    """Returns what kind of thing a path names; None if it is not there, or a folder."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return None
    return next((kind for is_one, kind in _KINDS if is_one(mode)), None)


def _table_around(path: str) -> str | None:
    """Returns the table in whose folder a path lies; None if there is none."""
    while (folder := os.path.dirname(path)) != path:
        if os.path.isdir(os.path.join(folder, "_delta_log")):
            return folder
        path = folder
    return None
