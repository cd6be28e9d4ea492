"""Tables from strangers, copies, and shared temp folders: nothing outside is touched or read.

A table's own folder may hold leases, journals, lists and links that somebody has made up. Beside it
lies a victim, which must be the same, byte for byte, after a run, a rebuild and a compaction.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from pipeline import compact, storage
from pipeline.bookkeeping import leases, ledger, places, state
from pipeline.table import commits
from tests import commands, deliveries, tables
from tests.crashes import killed_at
from tests.deliveries import Event

RUN = "20200101T000000-abcdef"
OTHER = "20200101T000000-111111"
SECRET = "the victim's secret"
OLD = [Event("a", 0), Event("b", 1440), Event("c", 2880)]
NEWS = [Event("a", 1), Event("d", 0)]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table whose second run was killed after its commit, and deliveries."""
    base = tmp_path_factory.mktemp("prepared")
    deliveries.deliver(base / "in" / "old.jsonl", OLD[:1])
    assert commands.run(base / "table", base / "in") == 0
    deliveries.deliver(base / "in" / "more.jsonl", OLD[1:], "{broken")
    with killed_at(ledger, "extend"):
        commands.run(base / "table", base / "in")
    (lease,) = (base / "table/_eventsift/alive").iterdir()
    # It dies before it keeps its dead letters.
    shutil.rmtree(base / "table/_eventsift/rejects")
    assert (base / "table/_eventsift/temp" / lease.name / "journal.json").exists()
    deliveries.deliver(base / "in" / "news.jsonl", NEWS)
    return base


@pytest.fixture
def root(prepared: Path, tmp_path: Path) -> Path:
    """A copy of the table."""
    shutil.copytree(prepared / "table", tmp_path / "table")
    return tmp_path / "table"


@pytest.fixture
def victim(tmp_path: Path, root: Path) -> Path:
    """A folder that has everything that anybody might take for its own."""
    folder = tmp_path / "victim"
    run = killed_run(root)
    for name in (
        "secret",
        "x.jsonl",
        "journal.json",
        f".x.{'0' * 32}.tmp",
        f"part-{RUN}-{'0' * 16}.parquet",
        f"{RUN}/data.arrow",
        f"{run}/data.arrow",
        f"temp/{RUN}/data.arrow",
        f"new/{RUN}/part-{RUN}-{'0' * 16}.parquet",
        f"_eventsift/{RUN}/data.arrow",
        f"_eventsift/{OTHER}/owner.json",
        "alive/other",
        "ledger.arrow.zst",
        "ledger.parquet",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(SECRET)
    (folder / "empty" / "emptier").mkdir(parents=True)
    return folder


def killed_run(root: Path) -> str:
    """The run that was killed after its commit."""
    return next(path.parent.name for path in (root / "_eventsift" / "temp").glob("*/journal.json"))


def content(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Everything in a folder, with the times of files."""
    return {
        str(path.relative_to(folder)): (
            (path.lstat().st_mtime_ns, path.read_bytes()) if path.is_file() else (0, b"")
        )
        for path in sorted(folder.rglob("*"))
    }


def link(path: Path, target: Path) -> None:
    """Puts a link in the place of whatever is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()
    path.symlink_to(target)


def make_up_lease(root: Path, run: str = RUN, **fields: str) -> None:
    """Makes up the lease of a dead run."""
    known = {"run": run, "table": "", "root": str(root), "made": "", "token": "", "staging": ""}
    (root / "_eventsift/alive" / run).write_text(json.dumps(known | fields))


def link_folder(name: str) -> Callable[[Path, Path], None]:
    """Somebody makes one of our folders a link to the victim."""

    def plant(root: Path, victim: Path) -> None:
        make_up_lease(root, staging=f"_eventsift/temp/{RUN}")
        link(root / name, victim)

    return plant


def name_the_victim(root: Path, victim: Path) -> None:
    """A lease of the old format."""
    (root / "_eventsift/alive/20200101T000000-000000").write_text(str(victim))


def name_the_victims_staging(root: Path, victim: Path) -> None:
    """A lease that has everything right but the owner file."""
    staging = victim / "_eventsift" / RUN
    make_up_lease(root, staging=str(staging), made=str(victim.parent))


def name_the_victim_relatively(root: Path, victim: Path) -> None:
    """A path that begins in the table and leaves it."""
    make_up_lease(root, OTHER, staging=f"_eventsift/temp/../../../victim/_eventsift/{OTHER}")


def link_the_lease(root: Path, victim: Path) -> None:
    """The lease itself leads to the victim."""
    link(root / "_eventsift/alive" / RUN, victim / "secret")


def link_all_files(root: Path, victim: Path) -> None:
    """The ledgers, old and new, a summary, a temporary file."""
    for name in (
        "_eventsift/ledger.arrow.zst",
        "_eventsift/ledger.parquet",
        f"_eventsift/runs/{killed_run(root)}.json",
        f"_eventsift/.x.{'1' * 32}.tmp",
        "_delta_log/x.json#1",
    ):
        link(root / name, victim / "secret")


def journal_that(change: Callable[[Path, Path, dict[str, object]], None]) -> Callable[..., None]:
    """The journal of the run that was killed says something else, and its checksum is right."""

    def plant(root: Path, victim: Path) -> None:
        path = root / "_eventsift/temp" / killed_run(root) / "journal.json"
        journal = msgspec.json.decode(state.unseal(path.read_bytes()))
        change(path, victim, journal)
        path.write_bytes(state.seal(msgspec.json.encode(journal)))

    return plant


def letters_elsewhere(path: Path, victim: Path, journal: dict[str, object]) -> None:
    """The dead letters are a file of the victim."""
    journal["dead_letters"] = [str(victim / "secret")]


def letters_up(path: Path, victim: Path, journal: dict[str, object]) -> None:
    """The same, as seen from staging."""
    journal["dead_letters"] = ["../../../../victim/secret"]


def letters_linked(path: Path, victim: Path, journal: dict[str, object]) -> None:
    """The same, behind a link."""
    journal["dead_letters"] = ["letters"]
    (path.parent / "letters").symlink_to(victim / "secret")


def inputs_elsewhere(path: Path, victim: Path, journal: dict[str, object]) -> None:
    """The list of files is a file of the victim."""
    journal["inputs"] = str(victim / "ledger.parquet")


def summary_elsewhere(path: Path, victim: Path, journal: dict[str, object]) -> None:
    """The summary is that of a run called like a path."""
    summary = journal["record"]
    assert isinstance(summary, dict)
    summary["run"] = f"../../../victim/{RUN}"


def all_of(*plants: Callable[[Path, Path], None]) -> Callable[[Path, Path], None]:
    """Several at once."""

    def plant(root: Path, victim: Path) -> None:
        for one in plants:
            one(root, victim)

    return plant


HOSTILE = {
    "leases": all_of(name_the_victim, name_the_victims_staging, name_the_victim_relatively),
    "files-linked": all_of(link_the_lease, link_all_files),
    "state-linked": link_folder("_eventsift"),
    "alive-linked": link_folder("_eventsift/alive"),
    "folders-linked": all_of(
        *(
            link_folder(f"_eventsift/{name}")
            for name in ("temp", "new", "runs", "rejects", "catalogue")
        )
    ),
    "runs-folders-linked": all_of(
        *(link_folder(f"_eventsift/{name}/{RUN}") for name in ("temp", "new"))
    ),
    "letters-elsewhere": journal_that(letters_elsewhere),
    "letters-up": journal_that(letters_up),
    "letters-linked": journal_that(letters_linked),
    "inputs-elsewhere": journal_that(inputs_elsewhere),
    "summary-elsewhere": journal_that(summary_elsewhere),
}


@pytest.mark.parametrize("plant", HOSTILE.values(), ids=HOSTILE)
def test_a_strangers_table(
    plant: Callable[[Path, Path], None],
    root: Path,
    victim: Path,
    prepared: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Every command does its work, and the victim is as it was; nothing of it gets into the table.

    Seen to fail: the victim was deleted as a whole (a lease, a link), or copied to the rejects.
    """
    plant(root, victim)
    before = content(victim)

    assert commands.run(root, prepared / "in") == 0
    assert content(victim) == before
    assert commands.run(root, prepared / "in", "--rebuild") == 0
    assert content(victim) == before
    assert compact.main(["--output", str(root)]) == 0
    assert content(victim) == before

    expected = deliveries.latest([*OLD, *NEWS])
    assert tables.delta_rows(root) == tables.plain_rows(root) == expected
    kept = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert not [path for path in kept if SECRET.encode() in path.read_bytes()]
    assert "Traceback" not in capfd.readouterr().err


def test_live_files_behind_a_link_are_not_given_up(
    root: Path, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With history they lie in the hidden folder: the link is not set aside, a person has to look.

    Seen to fail with every link set aside: the table had lost its files.
    """
    assert commands.run(root, prepared / "in", "--rebuild", "--keep-history", "7d") == 0
    rows = tables.delta_rows(root)
    (root / "_eventsift").rename(tmp_path / "elsewhere")
    link(root / "_eventsift", tmp_path / "elsewhere")

    assert commands.run(root, prepared / "in") == 1
    assert compact.main(["--output", str(root)]) == 1

    assert "is not a folder of its own" in capsys.readouterr().err
    assert tables.delta_rows(root) == rows


@pytest.mark.parametrize("elsewhere", [True, False])
def test_a_copy_of_a_table_leaves_the_original_alone(
    prepared: Path, root: Path, tmp_path: Path, elsewhere: bool
) -> None:
    """``cp -a table backup`` while a run is at work: what is done to the copy stays in the copy.

    Seen to fail: `compact --output backup` removed what the run had staged.
    """
    temp = str(tmp_path / "temp") if elsewhere else places.default_temp(str(root))
    staging = places.staging(str(root), temp, RUN)
    with leases.hold(str(root), RUN, staging):
        storage.write_bytes(f"{staging}/data.arrow", b"at work")
        shutil.copytree(root, tmp_path / "backup", symlinks=True)
        before = content(tmp_path / "temp"), content(root)

        assert compact.main(["--output", str(tmp_path / "backup")]) == 0
        assert commands.run(tmp_path / "backup", prepared / "in") == 0

        assert (content(tmp_path / "temp"), content(root)) == before
        shutil.rmtree(staging)
    assert list((tmp_path / "backup/_eventsift/alive").iterdir()) == []
    assert not (tmp_path / "backup/_eventsift/temp" / RUN).exists()
    # Its own dead run is finished, from its own journal.
    (letters,) = (tmp_path / "backup/_eventsift/rejects").iterdir()
    assert letters.stem == killed_run(root)


def test_tables_can_share_a_temp_folder(prepared: Path, tmp_path: Path) -> None:
    """Each clears up after its own dead runs; the other's, dead or alive, stay."""
    temp = tmp_path / "temp"
    temp.mkdir()
    (temp / "other.txt").write_text("somebody else's")
    options = ("--temp", str(temp))
    one, two = tmp_path / "one", tmp_path / "two"
    for root in (one, two):
        with killed_at(commits, "commit"):
            commands.run(root, prepared / "in", *options)
    staged = {path.parent.name for path in temp.rglob("owner.json")}
    assert len(staged) == 2

    assert commands.run(one, prepared / "in", *options) == 0
    left = {path.parent.name for path in temp.rglob("owner.json")}
    assert left == {path.name for path in (two / "_eventsift/alive").iterdir()}
    assert commands.run(two, prepared / "in") == 0

    assert os.listdir(temp) == ["other.txt"]
    expected = deliveries.latest([*OLD, *NEWS])
    assert tables.plain_rows(one) == tables.plain_rows(two) == expected


@pytest.mark.parametrize(
    "spelled", ["{root}", "{root}/", "{root}/t/u", "{link}", "{root}/../table"]
)
def test_temp_in_the_table_means_the_default(prepared: Path, tmp_path: Path, spelled: str) -> None:
    """Also if the table is new; a run that is killed there blocks nobody.

    Seen to fail: the staged files made it somebody else's folder.
    """
    root = tmp_path / "table"
    (tmp_path / "link").symlink_to(root)
    given = spelled.format(root=root, link=tmp_path / "link")
    with killed_at(commits, "commit"):
        commands.run(root, prepared / "in", "--temp", given)
    assert os.listdir(root) == ["_eventsift"]

    assert commands.run(root, prepared / "in", "--temp", given) == 0

    assert tables.plain_rows(root) == deliveries.latest([*OLD, *NEWS])
    assert tables.strays(root) == []
    assert sorted(os.listdir(root)) == ["_delta_log", "_eventsift", "domain=account"]
