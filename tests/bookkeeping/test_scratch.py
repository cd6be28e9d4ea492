import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.bookkeeping import locks, scratch

STORE = "s3://bucket/temp/r1"
NAME = f"eventsift-keys-{'0' * 16}"
HOLD = f"""
import os, sys
from pipeline.bookkeeping import scratch
with scratch.folder("{STORE}") as folder:
    open(os.path.join(folder, "some.versions"), "w").close()
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's folder for temporary files, for this process and those it starts."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def begin() -> tuple[subprocess.Popen[str], Path]:
    """Another run, which goes on, and its folder."""
    run = subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert run.stdout
    return run, Path(run.stdout.readline().strip())


def killed() -> Path:
    """The folder of a run that was killed."""
    run, left = begin()
    run.kill()
    run.communicate()
    assert [*left.glob("*.versions")]
    return left


def test_the_staging_folder_if_it_is_local(temporary: Path) -> None:
    """There the next run clears up anyway; nothing is made, and nothing is deleted."""
    with scratch.folder(f"{temporary}/table/_eventsift/temp/r1") as found:
        assert found == f"{temporary}/table/_eventsift/temp/r1"
    assert [*temporary.iterdir()] == []


@pytest.mark.parametrize("error", [None, OSError("no room")])
def test_beside_a_store(temporary: Path, error: OSError | None) -> None:
    """It is there within the block, for this user only, and gone afterwards, with its lock."""
    try:
        with scratch.folder(STORE) as found:
            assert os.stat(found).st_mode & 0o777 == 0o700
            (Path(found) / "some.versions").write_bytes(b"x")
            if error:
                raise error
    except OSError as raised:
        assert raised is error
    assert [*temporary.iterdir()] == []


def test_that_of_a_killed_run_goes(temporary: Path) -> None:
    """The next run deletes it, but not that of a run that goes on."""
    left = killed()
    alive, kept = begin()
    assert not left.exists()

    with scratch.folder(STORE) as found:
        assert {path.name for path in kept.iterdir()} == {"some.versions"}
        assert found != str(kept)
    alive.communicate()
    assert [*temporary.iterdir()] == []


def test_what_cannot_be_deleted_is_tried_again(temporary: Path) -> None:
    """As where a worker, which ends a moment later, writes into it.

    Seen to fail with a lock within the folder: it went first, and the folder stayed for ever.
    """
    left = killed()
    (left / "late").touch()
    with scratch.folder(STORE):
        assert left.exists()
    (left / "late").unlink()
    with scratch.folder(STORE):
        assert not left.exists()
    assert [*temporary.iterdir()] == []


@pytest.mark.parametrize("without", ["folder", "lock"])
def test_a_run_that_was_killed_between_the_two(temporary: Path, without: str) -> None:
    """The lock is made first and deleted last, so nothing stays for ever."""
    if without == "folder":
        (temporary / f"{NAME}.lock").touch()
    else:
        (temporary / NAME).mkdir()
    with scratch.folder(STORE):
        pass
    assert [path.name for path in temporary.iterdir()] == [NAME] * (without == "lock")


@pytest.mark.parametrize(
    "lock",
    [
        pytest.param(Path.mkdir, id="a folder"),
        pytest.param(os.mkfifo, id="a pipe"),
        pytest.param(lambda path: path.symlink_to("/dev/zero"), id="a link"),
    ],
)
def test_what_is_not_ours_stays(temporary: Path, lock: Callable[[Path], object]) -> None:
    """And stops no run: whatever lies in a folder that all users share.

    Seen to fail with a lock that was a folder: no run that staged on a store could begin.
    """
    (temporary / NAME).mkdir()
    (temporary / NAME / "some.versions").touch()
    lock(temporary / f"{NAME}.lock")
    (temporary / "eventsift-keys-notes").mkdir()
    (temporary / "eventsift-keys-notes" / "thesis.txt").touch()
    (temporary / "eventsift-keys-notes.lock").touch()
    before = sorted(temporary.rglob("*"))

    with scratch.folder(STORE):
        pass

    assert sorted(temporary.rglob("*")) == before


def test_that_of_another_user_stays(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder that all users share, each clears up after itself."""
    left = killed()
    monkeypatch.setattr(os, "getuid", lambda: os.stat(left).st_uid + 1)
    with scratch.folder(STORE):
        assert left.exists()


def test_where_files_cannot_be_locked(monkeypatch: pytest.MonkeyPatch, temporary: Path) -> None:
    """A folder is made all the same, and goes with the run."""
    monkeypatch.setattr(locks, "create", lambda path: None)
    with scratch.folder(STORE) as found:
        assert [str(path) for path in temporary.iterdir()] == [found]
    assert [*temporary.iterdir()] == []
