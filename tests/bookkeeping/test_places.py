import os
from pathlib import Path

import pytest

from pipeline import notices
from pipeline.bookkeeping import places


def test_temp_folders_may_be_shared() -> None:
    """Whatever a run stages elsewhere lies in one folder, whose name is ours."""
    assert places.staging("/t", "/temp", "r1") == "/temp/_eventsift/r1"
    assert places.staging("s3://b/t", "s3://b/temp", "r1") == "s3://b/temp/_eventsift/r1"
    assert places.staging("/t", places.default_temp("/t"), "r1") == "/t/_eventsift/temp/r1"
    assert places.boundary("/t", "/temp/_eventsift/r1") == "/temp"
    assert places.boundary("/t", "/t/_eventsift/temp/r1") == "/t"


@pytest.mark.parametrize("given", [None, "", "{root}", "{root}/a/b", "{root}/.", "file://{root}"])
@pytest.mark.parametrize("exists", [True, False])
def test_the_table_is_no_temp_folder(tmp_path: Path, given: str | None, exists: bool) -> None:
    """What lies in it besides our own folder makes it somebody else's."""
    root = tmp_path / "table"
    if exists:
        root.mkdir()
    found = places.temp_folder(str(root), given and given.format(root=root))
    assert found == f"{root}/_eventsift/temp"


def test_the_table_by_another_name_is_the_table(tmp_path: Path) -> None:
    """Links on both sides, and on an object store two slashes."""
    (tmp_path / "table").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "table")
    root, link = str(tmp_path / "table"), str(tmp_path / "link")
    assert places.temp_folder(root, f"{link}/x") == f"{root}/_eventsift/temp"
    assert places.temp_folder(link, f"{root}/x") == f"{link}/_eventsift/temp"
    assert places.temp_folder("s3://b/t", "s3://b//t/x") == "s3://b/t/_eventsift/temp"


@pytest.mark.parametrize("given", ["{root}-2", "{root}/..", "{root}/../other"])
def test_other_folders_are_used_as_they_are(tmp_path: Path, given: str) -> None:
    """Also if their names begin like the table's, or if the table lies in them."""
    root = tmp_path / "table"
    given = given.format(root=root)
    assert places.temp_folder(str(root), given) == os.path.abspath(given)
    assert places.temp_folder("s3://b/t", "s3://b/t2") == "s3://b/t2"


@pytest.mark.parametrize("name", ["", ".", "..", "-x", "a/b", "a b", "r1.damaged-r2", "\n", "é"])
def test_what_no_run_is_called(name: str) -> None:
    """A name becomes part of a path: it must not lead anywhere else."""
    assert not places.is_run_id(name)
    assert places.is_run_id("20210108T000000-abcdef")


def test_only_what_is_empty_is_removed(tmp_path: Path) -> None:
    """And only what is the run's: the folder of our name, and what the run has made above it."""
    staged = tmp_path / "a" / "b" / "_eventsift" / "r1"
    staged.parent.mkdir(parents=True)
    places.remove_empty(str(staged), "")
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "b"]
    places.remove_empty(str(staged), str(tmp_path / "a" / "b"))
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "b"]  # nothing to begin with
    staged.parent.mkdir()
    places.remove_empty(str(staged), str(tmp_path / "a"))
    assert list(tmp_path.iterdir()) == []


def test_notices_wait_until_they_can_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    """While Beam works stderr is closed; each is told once, in one line."""
    with notices.held():
        notices.say("two\nlines")
        notices.say("two lines")
        assert capsys.readouterr().err == ""
    assert capsys.readouterr().err == "eventsift: two lines\n"
    notices.say("now")
    assert capsys.readouterr().err == "eventsift: now\n"
