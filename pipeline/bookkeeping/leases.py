"""Which runs are still alive: what others have left behind may be removed by the next run.

A local run holds a lock on a file of its own, its mark, which the operating system lets go of when
the process ends, however it ends. On an object store there are no locks; there what a dead run has
left goes by its age (`retention.ABANDONED_SECONDS`).

A mark is not believed. Marks are copied with a table, and a table may come from a stranger. What
lies in the table's own folder is found by the run's id alone. A staging folder elsewhere counts as
a dead run's only if all of this holds:

- the mark names this table's folder, so it is no copy;
- the folder is called like the run, in one called `places.STATE`, and no link leads to it;
- an owner file in it says the same as the mark, a random token included;
- the run's lock on the owner file is gone, too.
"""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterable, Iterator
from typing import IO, NamedTuple

import msgspec

from pipeline import notices, storage
from pipeline.bookkeeping import places, state
from pipeline.bookkeeping.places import STATE, is_run_id
from pipeline.bookkeeping.state import DamagedError

try:
    import fcntl
except ImportError:  # Windows: by age, as on an object store
    fcntl = None  # type: ignore[assignment]

_FOLDER = f"{STATE}/alive"
_OWNER = "owner.json"
# Three paths of 4096 bytes, each byte written as six in JSON at most.
_LIMIT_BYTES = 128 << 10
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


class Mark(msgspec.Struct, frozen=True):
    """What a mark says of its run, and the owner file of its staging folder as well.

    Attributes:
        run: The run's id.
        table: The table's identity; "" if there was no table when the run began.
        root: The real path of the table's folder.
        staging: The run's staging folder: its real path, or relative to the table if it lies there.
        made: The topmost folder that the run has made for staging, "" if temp was there.
        token: Random, so that nobody can write an owner file without the mark.
    """

    run: str
    table: str
    root: str
    staging: str
    made: str
    token: str


class DeadRun(NamedTuple):
    """A run that ended without cleaning up.

    Attributes:
        id: Its id.
        staging: The folder it staged payloads in.
        made: The topmost folder that it has made for that; "" if there was one.
    """

    id: str
    staging: str
    made: str = ""


@contextlib.contextmanager
def hold(root: str, run_id: str, staging: str, table_id: str = "") -> Iterator[None]:
    """Marks a run of the table at `root` as alive within the ``with`` block.

    If the block raises, the mark stays: what the run has left is for the next one to remove.

    Args:
        root: The table.
        run_id: The run.
        staging: Its staging folder; see `places.staging`.
        table_id: The table's identity.
    """
    made = places.missing(_temp(staging)) if _is_elsewhere(root, run_id, staging) else ""
    with contextlib.ExitStack() as held:
        path = storage.local(storage.join(root, _FOLDER, run_id))
        file = _locked(path) if fcntl is not None and storage.is_local(root) else None
        if file is not None:
            held.enter_context(file)
            mark = _mark(root, run_id, staging, table_id, made)
            content = msgspec.json.encode(mark)
            file.write(content)
            file.flush()
            if mark.staging != _inside(run_id):
                _claim(storage.join(mark.staging, _OWNER), content, held)
        yield
        if file is not None:
            os.unlink(path)
    if storage.is_local(staging):
        places.remove_empty(staging, made)


def dead(root: str, run_id: str) -> list[DeadRun]:
    """Returns the dead runs of the table at `root`; to be dealt with, and then to `forget`.

    Args:
        root: The table.
        run_id: The run that asks.
    """
    found: list[DeadRun] = []
    for name in _names(root):
        path = storage.join(root, _FOLDER, name)
        try:
            with _read_locked(path) as file:
                content = file.read(_LIMIT_BYTES)
                # Empty, it is of a run that was killed before it did anything; or of one that is
                # waiting for our lock, and will make another mark.
                if not content and not _has_begun(root, name):
                    os.unlink(path)
                elif is_run_id(name):
                    run = _proved(root, name, content)
                    found.extend([run] if run else [])
                else:
                    state.set_aside(path, run_id, "is not called like a run")
        except DamagedError as error:
            state.set_aside(path, run_id, str(error))
        except OSError:  # it is alive, or has just ended, or nobody can tell
            continue
    return found


def others(root: str, run_id: str) -> bool:
    """Tells whether any run of the table at `root` is alive besides `run_id`, or may be."""
    if fcntl is None or not storage.is_local(root):
        return True  # nobody knows
    for name in _names(root):
        try:
            with _read_locked(storage.join(root, _FOLDER, name)):
                pass
        except (DamagedError, FileNotFoundError):
            continue
        except OSError:
            if name != run_id:
                return True
    return False


def forget(root: str, runs: Iterable[DeadRun]) -> None:
    """Removes the marks of dead runs of which nothing is left."""
    storage.delete(storage.join(root, _FOLDER, run.id) for run in runs)


def made_folder(root: str, run_id: str) -> str:
    """Returns the topmost folder that a run has made for staging, by its mark; "" if none."""
    if not storage.is_local(root):
        return ""
    with contextlib.suppress(DamagedError, OSError, msgspec.MsgspecError):
        content = state.read(storage.join(root, _FOLDER, run_id), _LIMIT_BYTES)
        return msgspec.json.decode(content, type=Mark).made
    return ""


# Marks and owner files


def _has_begun(root: str, run_id: str) -> bool:
    """Whether there is anything of a run in the table's own folder."""
    folders = (_inside(run_id), f"{STATE}/new/{run_id}")
    return any(os.path.lexists(storage.join(root, folder)) for folder in folders)


def _inside(run_id: str) -> str:
    """The staging folder of a run that stages in its table, relative to it."""
    return f"{STATE}/temp/{run_id}"


def _is_elsewhere(root: str, run_id: str, staging: str) -> bool:
    return storage.is_local(staging) and staging != storage.join(root, _inside(run_id))


def _temp(staging: str) -> str:
    """The temp folder that a staging folder outside the table lies in."""
    return os.path.dirname(os.path.dirname(storage.local(staging)))


def _mark(root: str, run_id: str, staging: str, table_id: str, made: str) -> Mark:
    if staging == storage.join(root, _inside(run_id)):
        place = _inside(run_id)
    elif storage.is_local(staging):
        place, made = os.path.realpath(staging), made and os.path.realpath(made)
    else:
        place = staging
    return Mark(run_id, table_id, os.path.realpath(root), place, made, secrets.token_hex(16))


def _names(root: str) -> list[str]:
    """The names of the marks there are."""
    if fcntl is None or not storage.is_local(root):
        return []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        names = sorted(os.listdir(storage.join(root, _FOLDER)))
        return [name for name in names if places.DAMAGED not in name]
    return []


def _locked(path: str) -> IO[bytes] | None:
    """A new file, locked; made again if `dead` has removed it before it was locked.

    None where the file system has no locks: then runs go by their age.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    while True:
        mark = open(path, "wb")  # noqa: SIM115 (closed by whoever holds it)
        try:
            fcntl.flock(mark, fcntl.LOCK_EX)
        except OSError as error:
            mark.close()
            os.unlink(path)
            if error.errno in _NO_LOCKS:
                return None
            raise
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(mark.fileno()), os.stat(path)):
                return mark
        mark.close()


@contextlib.contextmanager
def _read_locked(path: str) -> Iterator[IO[bytes]]:
    """A file opened for reading, locked meanwhile.

    Raises:
        BlockingIOError: Its run is alive.
        DamagedError: It is no regular file.
        OSError: It is not there, or cannot be read or locked.
    """
    with open(state.open_regular(path), "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield file


def _claim(path: str, content: bytes, held: contextlib.ExitStack) -> None:
    """Writes the owner file of a staging folder, and locks it where that is possible."""
    storage.write_new(path, content)
    if storage.is_local(path):
        file = held.enter_context(open(path, "rb"))  # noqa: SIM115 (closed with the mark)
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _proved(root: str, run_id: str, content: bytes) -> DeadRun | None:
    """A dead run as far as its mark can be believed; None if the run is alive after all."""
    inside = DeadRun(run_id, storage.join(root, _inside(run_id)))
    mark_path = storage.join(root, _FOLDER, run_id)
    try:
        mark = msgspec.json.decode(content, type=Mark)
    except (ValueError, RecursionError):  # also of a version that wrote the folder's path only
        notices.say(f"{mark_path} is not a mark that this version writes; what it names is left")
        return inside
    if mark.staging == _inside(run_id):
        return inside
    try:
        doubt = _doubt(root, run_id, mark, content)
    except BlockingIOError:
        return None
    except (OSError, ValueError) as error:
        doubt = str(error)
    if doubt is None:
        return inside._replace(staging=mark.staging, made=mark.made)
    if doubt:
        notices.say(f"{mark_path} names the folder {mark.staging!r}, which is left alone: {doubt}")
    return inside


def _doubt(root: str, run_id: str, mark: Mark, content: bytes) -> str | None:
    """Why a staging folder is not proved to be a dead run's: None if it is, "" if there is none.

    Raises:
        BlockingIOError: The run is alive.
    """
    if mark.root != os.path.realpath(root):
        return f"the mark is of a run of the table in {mark.root!r}"
    if mark.run != run_id or mark.staging.split("/")[-2:] != [STATE, run_id]:
        return "it is not called like a staging folder of this run"
    owner = storage.join(mark.staging, _OWNER)
    if not storage.is_local(mark.staging):
        known = storage.exists(owner) and state.read(owner, _LIMIT_BYTES) == content
        return None if known else "its owner file does not say the same"
    if not os.path.lexists(mark.staging):
        return ""
    if os.path.realpath(mark.staging) != mark.staging:
        return "a symbolic link leads to it"
    names = os.listdir(mark.staging)
    try:
        with _read_locked(owner) as file:
            found = file.read(_LIMIT_BYTES)
    except (DamagedError, FileNotFoundError):
        return None if not names else "it has no owner file"
    # Killed while it wrote the owner file, a run has staged nothing yet.
    begun = names == [_OWNER] and content.startswith(found)
    return None if found == content or begun else "its owner file does not say the same"
