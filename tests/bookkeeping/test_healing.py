"""What a run that died has left behind is finished or goes (invariant 5), whoever comes next."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import compact, storage
from pipeline.bookkeeping import journal, leases, ledger, recovery
from pipeline.run import Run
from pipeline.steps import plan
from pipeline.table import datafiles, delta, settling
from tests.by_hand import new_run, run_graph, summary_of
from tests.deliveries import Event, deliver, latest
from tests.tables import delta_rows

Heal = Callable[[Run], Any]

EVENTS = [Event("a"), Event("b", "2021-01-09T00:00:00Z")]


@pytest.fixture(params=["plan", "compact"])
def heal(request: pytest.FixtureRequest) -> Heal:
    """What begins with healing: planning a run, and compaction."""
    if request.param == "plan":
        return plan.plan
    return lambda run: compact.compact(run.table, run.id, run.target_file_bytes)


def publish(folder: Path) -> None:
    """A table with the two events."""
    deliver(folder / "in" / "1.jsonl", EVENTS)
    run_graph(new_run(folder, "r0"))


def leave(run: Run) -> list[Path]:
    """A run that has staged and written, then died."""
    with pytest.raises(KeyboardInterrupt), leases.hold(run.root, run.id, run.staging):
        left = [
            Path(run.staging, "x.arrow"),
            Path(run.root, datafiles.new_path(run.id, "0")),
        ]
        for path in left:
            storage.write_bytes(str(path), b"left behind")
        raise KeyboardInterrupt
    return [*left, Path(run.root, "_eventsift/alive", run.id)]


def test_leftovers_are_removed(heal: Heal, tmp_path: Path) -> None:
    """Staged and unpublished files, and the lease.

    Seen to fail with either `delete_tree` left out.
    """
    publish(tmp_path)
    left = leave(new_run(tmp_path, "dead"))
    assert all(path.exists() for path in left)

    heal(new_run(tmp_path))

    assert not any(path.exists() for path in left)
    assert delta_rows(f"{tmp_path}/out") == latest(EVENTS)


def test_a_run_at_work_keeps_its_files(heal: Heal, tmp_path: Path) -> None:
    """Only the dead are cleared."""
    publish(tmp_path)
    other = new_run(tmp_path, "other")
    with leases.hold(other.root, other.id, other.staging):
        storage.write_bytes(f"{other.staging}/x.arrow", b"at work")
        heal(new_run(tmp_path))
        assert storage.exists(f"{other.staging}/x.arrow")


def test_what_a_dead_run_has_published_is_settled_first(
    heal: Heal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run may die at any time, also between our looks at the log and at the leases.

    Then its committed files are still among its own, and must not go with them. Seen to fail
    with the leases looked at after `settle`, and `clear` that removes what it finds without a look
    at the log: the table had lost its files.
    """
    publish(tmp_path)
    deliver(tmp_path / "in" / "2.jsonl", [Event("c")])
    other = new_run(tmp_path, "other")
    real = settling.settle

    def settle_then_other_run(*arguments: Any) -> delta.Snapshot:
        snapshot = real(*arguments)
        monkeypatch.setattr(settling, "settle", dies)
        with pytest.raises(RuntimeError), leases.hold(other.root, other.id, other.staging):
            run_graph(other)
        monkeypatch.setattr(settling, "settle", real)
        return snapshot

    def dies(*arguments: Any) -> delta.Snapshot:
        if delta.load(other.table).version > 1:
            raise RuntimeError("killed")
        return real(*arguments)

    monkeypatch.setattr(settling, "settle", settle_then_other_run)
    heal(new_run(tmp_path, "r1"))
    heal(new_run(tmp_path, "r2"))

    assert delta_rows(other.root) == latest([*EVENTS, Event("c")])


def test_the_dead_are_found_before_the_log_is_read(
    heal: Heal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And cleared after it: the order that the test above needs, even if `clear` errs."""
    publish(tmp_path)
    order: list[str] = []

    def noted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            order.append(name)
            return real(*arguments, **options)

        return call

    for module, name in ((recovery, "clear"), (leases, "dead"), (settling, "settle")):
        monkeypatch.setattr(module, name, noted(name, getattr(module, name)))

    heal(new_run(tmp_path))

    assert order[:3] == ["dead", "settle", "clear"]


@pytest.mark.parametrize("step", ["settle", "_keep_rejects", "extend", "delete_tree"])
def test_what_a_dead_run_has_published_is_recorded(
    heal: Heal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Killed after its commit: record, dead letters and ledger come with the next run.

    Whatever that one reads. Seen to fail: they had been removed as staged leftovers.
    """
    deliver(tmp_path / "in" / "1.jsonl", EVENTS, "nonsense")
    run = new_run(tmp_path, "dead", inputs=(f"{tmp_path}/in/1.jsonl",))
    module = next(one for one in (journal, ledger, storage, settling) if hasattr(one, step))
    real = getattr(module, step)

    def dies(*arguments: Any, **options: Any) -> Any:
        if delta.open_newest(run.table).published(run.id) is not None:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    with monkeypatch.context() as patch, pytest.raises((RuntimeError, KeyboardInterrupt)):
        patch.setattr(module, step, dies)
        with leases.hold(run.root, run.id, run.staging):
            run_graph(run)
    Path(tmp_path, "in", "1.jsonl").unlink()
    deliver(tmp_path / "in" / "2.jsonl", [Event("c")])

    heal(new_run(tmp_path, "next", inputs=(f"{tmp_path}/in/2.jsonl",)))

    kept = summary_of(run)
    assert (kept["published"], kept["events"]["rejected"]) == (True, 1)
    assert kept["version"] in (0, 1)
    assert kept["table"]["rows"] == len(latest(EVENTS))
    assert len(storage.read_bytes(kept["rejects"]).splitlines()) == 1
    assert [Path(file.path).name for file in ledger.published(run.table)] == ["1.jsonl"]
    assert not Path(run.staging).exists()
