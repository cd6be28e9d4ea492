import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pipeline.bookkeeping import locks, scratch

STORE = "s3://bucket/temp/r1"
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


def test_the_staging_folder_if_it_is_local(temporary: Path) -> None:
    """There the next run clears up anyway; nothing is made, and nothing is deleted."""
    with scratch.folder(f"{temporary}/table/_eventsift/temp/r1") as found:
        assert found == f"{temporary}/table/_eventsift/temp/r1"
    assert [*temporary.iterdir()] == []


def test_beside_a_store() -> None:
    """It is there within the block and gone afterwards, also after an error."""
    for error in (None, OSError("no room")):
        try:
            with scratch.folder(STORE) as found:
                (Path(found) / "some.versions").write_bytes(b"x")
                if error:
                    raise error
        except OSError as raised:
            assert raised is error
        assert not Path(found).exists()


def test_that_of_a_killed_run_goes() -> None:
    """The next run deletes it, but not that of a run that goes on."""
    killed, left = begin()
    alive, kept = begin()
    killed.kill()
    killed.wait()
    assert [*left.glob("*.versions")]

    with scratch.folder(STORE) as found:
        assert not left.exists()
        assert {file.name for file in kept.iterdir()} == {"lock", "some.versions"}
        assert found != str(kept)
    alive.communicate()
    assert not kept.exists()


def test_what_is_not_ours_stays(temporary: Path) -> None:
    """A folder that is called alike, one that was never locked, and what a link leads to."""
    (temporary / "eventsift-notes").mkdir()
    (temporary / "eventsift-notes" / "a").write_text("a")
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "lock").write_text("")
    (temporary / "eventsift-link").symlink_to(elsewhere)
    (temporary / "eventsift-file").write_text("b")
    (temporary / "eventsift-folder" / "lock").mkdir(parents=True)
    before = sorted(temporary.rglob("*"))

    with scratch.folder(STORE):
        pass

    assert sorted(temporary.rglob("*")) == before


def test_that_of_another_user_stays(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder that all users share, each clears up after itself."""
    killed, left = begin()
    killed.kill()
    killed.wait()
    monkeypatch.setattr(os, "getuid", lambda: os.stat(left).st_uid + 1)
    with scratch.folder(STORE):
        assert left.exists()


def test_where_files_cannot_be_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder is made all the same, and goes with the run."""
    monkeypatch.setattr(locks, "create", lambda path: None)
    with scratch.folder(STORE) as found:
        assert os.listdir(found) == []
    assert not os.path.exists(found)
