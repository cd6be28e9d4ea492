"""`catalogues`: what runs have seen is kept once, whatever happens to them."""

from pathlib import Path

import pytest

from pipeline.bookkeeping import catalogues
from pipeline.catalogue import observe
from pipeline.catalogue.nodes import Catalogue
from pipeline.catalogue.observe import Payload
from pipeline.table.delta import Lineage

TABLE = Lineage("table", 100, 0)


def seen(number: int) -> Catalogue:
    """One event with one field."""
    return observe.observe([Payload("d", "t", number, f'{{"f{number}": 1}}')])


def run_of(number: int) -> str:
    """The id of a run; ids sort as the runs."""
    return f"run-{number:03}"


def keep(root: Path, number: int, lineage: Lineage = TABLE) -> Catalogue:
    """Keeps the catalogue of a run, which has made the version of its number."""
    return catalogues.keep(str(root), run_of(number), number, lineage, seen(number))


def fields(found: Catalogue) -> list[str]:
    """Whose fields are in a catalogue, and that each is there once."""
    if not found.types:
        return []
    (entry,) = found.types
    assert {field.count for field in entry.root.members.values()} == {1}
    assert entry.payloads == found.payloads == len(entry.root.members)
    return sorted(entry.root.members)


def test_runs_are_added_up(tmp_path: Path) -> None:
    """Each run is told what those before have seen."""
    assert fields(keep(tmp_path, 1)) == []
    assert fields(keep(tmp_path, 2)) == ["f1"]
    assert fields(catalogues.load(str(tmp_path), TABLE)) == ["f1", "f2"]
    (entry,) = catalogues.load(str(tmp_path), TABLE).types
    assert (entry.root.first_run, entry.root.last_run) == ("run-001", "run-002")
    assert entry.root.members["f1"].last_run == "run-001"


def test_a_run_that_is_kept_twice_counts_once(tmp_path: Path) -> None:
    """By itself, and by the run that heals it; and is told the same."""
    keep(tmp_path, 1)
    assert fields(keep(tmp_path, 2)) == fields(keep(tmp_path, 2)) == ["f1"]
    assert fields(catalogues.load(str(tmp_path), TABLE)) == ["f1", "f2"]


def test_many_runs_become_one_file(tmp_path: Path) -> None:
    """Nothing is lost or counted twice at any of many runs, and the files stay few."""
    for number in range(100):
        expected = sorted(f"f{before}" for before in range(number))
        assert fields(keep(tmp_path, number)) == expected
        assert len(list((tmp_path / catalogues.CATALOGUES).iterdir())) <= 3 * catalogues._MANY


@pytest.mark.parametrize("number", range(catalogues._MANY + 3))
def test_killed_while_files_are_brought_together(tmp_path: Path, number: int) -> None:
    """What is in one file may still lie in others: it counts once.

    Seen to fail with files read that are in it.
    """
    for before in range(catalogues._MANY * 2 + 1):
        keep(tmp_path, before)
    folder = tmp_path / catalogues.CATALOGUES
    files = {path: path.read_bytes() for path in folder.iterdir()}
    for run in range(catalogues._MANY * 2 + 1, catalogues._MANY * 3 + 4):
        keep(tmp_path, run)
    gone = [path for path in files if not path.exists()]
    for path in gone[:number]:
        path.write_bytes(files[path])
    runs = catalogues._MANY * 3 + 4
    found = catalogues.load(str(tmp_path), TABLE)
    assert fields(found) == sorted(f"f{run}" for run in range(runs))


def test_two_bring_files_together(tmp_path: Path) -> None:
    """The slower one has not seen what the other one has: its file replaces that one.

    Seen to fail with all files removed that are in the new one.
    """
    for number in range(catalogues._MANY):
        keep(tmp_path, number)
    slow = catalogues._load(str(tmp_path), TABLE, "")
    for number in range(catalogues._MANY, catalogues._MANY + 3):
        keep(tmp_path, number)
    catalogues._bring_together(str(tmp_path), slow, slow.catalogue)
    found = catalogues.load(str(tmp_path), TABLE)
    assert fields(found) == sorted(f"f{number}" for number in range(catalogues._MANY + 3))


def test_a_rebuilt_table_forgets(tmp_path: Path) -> None:
    """What was seen before is in the table no more; also where it was brought together."""
    for number in range(2 * catalogues._MANY):
        keep(tmp_path, number)
    rebuilt = Lineage("table", 100, 50)
    assert fields(keep(tmp_path, 50, rebuilt)) == []
    assert fields(keep(tmp_path, 51, rebuilt)) == ["f50"]
    for number in range(52, 52 + 3 * catalogues._MANY):
        expected = sorted(f"f{before}" for before in range(50, number))
        assert fields(keep(tmp_path, number, rebuilt)) == expected


def test_files_of_runs_before_a_rebuild_go(tmp_path: Path) -> None:
    """Else each run would read those of all nights before, if each night makes the table anew."""
    for night in range(40):
        rebuilt = Lineage("table", 100, night)
        assert fields(keep(tmp_path, night, rebuilt)) == []
    names = {path.name for path in (tmp_path / catalogues.CATALOGUES).iterdir()}
    assert names == {"run-039.json"}


def test_a_run_that_is_kept_again_much_later_counts_once(tmp_path: Path) -> None:
    """A run may be healed when its catalogue is in one file with those of others already."""
    for number in range(2 * catalogues._MANY):
        keep(tmp_path, number)
    for number in (0, *range(32, 64), 0, 5):
        keep(tmp_path, number)
    assert fields(catalogues.load(str(tmp_path), TABLE)) == sorted(f"f{n}" for n in range(64))


def test_another_table_and_damage(tmp_path: Path) -> None:
    """What cannot be read, or is of another table, is passed over: it is a sample."""
    keep(tmp_path, 1)
    assert fields(catalogues.load(str(tmp_path), Lineage("other", 100, 0))) == []
    folder = tmp_path / catalogues.CATALOGUES
    for name, content in (("x.json", b"{"), ("_so-far.json", b"[]"), ("y.json", b'{"runs": 1}')):
        (folder / name).write_bytes(content)
    (folder / "folder.json").mkdir()
    assert fields(catalogues.load(str(tmp_path), TABLE)) == ["f1"]


def test_a_run_that_has_seen_nothing_leaves_no_file(tmp_path: Path) -> None:
    """Most runs of a timer find nothing new."""
    catalogues.keep(str(tmp_path), "run", 1, TABLE, Catalogue())
    assert not list(tmp_path.iterdir())
