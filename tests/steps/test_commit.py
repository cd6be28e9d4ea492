import datetime
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline import storage
from pipeline.bookkeeping import journal, ledger
from pipeline.bookkeeping.summary import Events, Files, Spread, decode
from pipeline.rows import encoding
from pipeline.run import Run
from pipeline.steps import commit, plan, route, write
from pipeline.steps.checks import ReconciliationError, TooManyPartitionsError
from pipeline.steps.outcome import Outcome
from pipeline.steps.tally import Tally
from pipeline.table import commits, datafiles, delta, settling
from pipeline.table.address import Table
from pipeline.table.datafiles import DataFile
from tests.by_hand import new_run, read_events, run_graph, slices_of
from tests.deliveries import Event, deliver, latest
from tests.tables import delta_rows

OLD = [Event("a"), Event("b"), Event("c", "2021-01-09T00:00:00Z")]
NEW = [Event("d"), Event("e", event_type="sale")]


def outcome(run: Run, events: Sequence[Event], *lines: str) -> Outcome:
    """What the steps have to say of a run that adds events, and rejects other lines."""
    folder = Path(run.root).parent
    deliver(folder / "in" / f"{run.id}.jsonl", events, *lines)
    planned = plan.plan(run)
    block = read_events(folder, events, *lines)
    settings = encoding.WriteSettings(run.root, run.id, run.target_file_bytes)
    written = [
        write.write_shard([route.Routed(slices, b"")], settings)[0] for slices in block.slices
    ]
    letters = [block.dead_letters] if block.dead_letters else []
    planned_counts = planned.tally().counts
    rejected = sum(block.rejected.values())
    counts = {
        "read": {
            "blocks": planned_counts["blocks"],
            "bytes": planned_counts["bytes"],
            "events": block.rows + rejected,
            "rejected": rejected,
            "dead_letter_files": len(letters),
            "versions": block.rows,
            "slices": len(slices_of(block)),
            **{f"rejected.{reason}": count for reason, count in block.rejected.items()},
        },
        "scan": {
            "live_files": planned_counts["live_files"],
            "comparisons": planned_counts["comparisons"],
        },
        "latest": {"versions": block.rows},
        "route": {
            "live_files": planned_counts["live_files"],
            "blocks": planned_counts["blocks"],
            "slices": len(slices_of(block)),
        },
        "write": {
            "live_files": planned_counts["live_files"],
            "slices": len(slices_of(block)),
            "kept": block.rows,
            "files": sum(len(group.files) for group in written),
        },
    }
    tallies = [Tally(step, some, 0.5) for step, some in counts.items()]
    return Outcome([planned], [planned.tally(), *tallies], written, letters)


def old_table(folder: Path) -> Run:
    """A table that is there already."""
    deliver(folder / "in" / "r0.jsonl", OLD)
    run = new_run(folder, "r0")
    run_graph(run)
    return run


def listing(run: Run) -> dict[str, float]:
    """The files of the table and of its log, with their times."""
    return {
        file.path: file.modified
        for file in storage.list_files(run.root)
        if "/_eventsift/" not in file.path
    }


class TestSummary:
    """What is said of a run."""

    def test_of_a_run_that_was_published(self, tmp_path: Path) -> None:
        """The numbers of the report, as data; the summary returned is the one stored."""
        old_table(tmp_path)
        run = new_run(tmp_path)

        summary = commit.commit(run, outcome(run, NEW, '"nonsense"', '{"a": 1}'))

        assert summary.published is True
        assert summary.version == delta.load(run.table).version
        assert summary.events == Events(
            read=4, kept=2, superseded=0, exact_duplicates=0, rejected=2
        )
        assert summary.rejected == {"missing-field": 1, "not-an-object": 1}
        assert summary.files == Files(matched=2, skipped=1)
        assert summary.table.rows == 5
        assert summary.table.partitions_written == 2
        assert summary.seconds["read"] == 0.5
        stored = storage.read_bytes(journal.summary_path(run.root, "r1"))
        assert decode(stored) == summary
        assert delta_rows(run.root) == latest([*OLD, *NEW])

    def test_of_how_late_events_come(self, tmp_path: Path) -> None:
        """By whole days in UTC, from the event's date to the run's; versions, to the latest one.

        The days of other steps are no dates. Seen to fail with all tallies' days added up.
        """
        run = new_run(tmp_path)
        result = outcome(run, NEW)
        (planned,) = result.plans
        midnight = datetime.datetime(2021, 1, 11, tzinfo=datetime.timezone.utc).timestamp()
        day = datetime.date(2021, 1, 8).toordinal()
        tallies = [
            *result.tallies,
            Tally("read", {}, 0.0, {day: 4, day + 2: 1}),
            Tally("read", {}, 0.0, {day: 1}),
            Tally("latest", {}, 0.0, {0: 2, 4: 1}),
        ]

        summary = commit.commit(
            run, result._replace(plans=[planned._replace(began=midnight - 1)], tallies=tallies)
        )

        assert summary.lateness == Spread(0, 2, {0: 1, 2: 5})
        assert summary.versions_apart == Spread(0, 4, {0: 2, 5: 1})

    def test_dead_letters_are_kept_beside_the_table(self, tmp_path: Path) -> None:
        """Where the summary says; staged ones go with everything staged."""
        run = new_run(tmp_path)
        summary = commit.commit(run, outcome(run, NEW, '"nonsense"', '{"a": 1}'))
        assert summary.rejects == f"{run.root}/_eventsift/rejects/r1.jsonl"
        letters = storage.read_bytes(summary.rejects).splitlines()
        assert [msgspec.json.decode(letter)["raw"] for letter in letters] == [
            '"nonsense"',
            '{"a": 1}',
        ]
        assert not Path(run.staging).exists()

    def test_without_rejects_there_is_no_file_of_them(self, tmp_path: Path) -> None:
        """An empty file would look like one that was lost."""
        run = new_run(tmp_path)
        assert commit.commit(run, outcome(run, NEW)).rejects is None
        assert not Path(run.root, "_eventsift/rejects").exists()


class TestRefusals:
    """What is not right is not published: the table stays as it is."""

    @pytest.mark.parametrize("number", [0, 2])
    def test_a_run_has_one_plan(self, tmp_path: Path, number: int) -> None:
        """A runner that has lost or doubled it is not to be trusted."""
        old, run = old_table(tmp_path), new_run(tmp_path)
        result = outcome(run, NEW)
        before = listing(old)
        with pytest.raises(ReconciliationError, match=f"has {number} plans"):
            commit.commit(run, result._replace(plans=result.plans * number))
        assert listing(old) == before

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param(lambda it: it._replace(tallies=it.tallies[:-1]), id="a tally lost"),
            pytest.param(
                lambda it: it._replace(tallies=[*it.tallies, it.tallies[1]]), id="a tally twice"
            ),
            pytest.param(lambda it: it._replace(written=it.written[:-1]), id="a file lost"),
            pytest.param(lambda it: it._replace(written=it.written * 2), id="files twice"),
            pytest.param(lambda it: it._replace(dead_letters=[]), id="dead letters lost"),
            pytest.param(
                lambda it: it._replace(dead_letters=it.dead_letters * 2), id="dead letters twice"
            ),
        ],
    )
    def test_counts_that_disagree(
        self, tmp_path: Path, change: Callable[[Outcome], Outcome]
    ) -> None:
        """Anything lost or doubled on the way to the commit stops it (invariant 3).

        Seen to fail with the check of `disagreements` left out.
        """
        old, run = old_table(tmp_path), new_run(tmp_path)
        changed = change(outcome(run, NEW, "nonsense"))
        before = listing(old)
        with pytest.raises(ReconciliationError, match="nothing was published"):
            commit.commit(run, changed)
        assert listing(old) == before
        assert not storage.exists(journal.summary_path(run.root, "r1"))

    def test_too_many_partitions(self, tmp_path: Path) -> None:
        """A timestamp taken for a type makes a folder an event; the way out is in the message."""
        run = new_run(tmp_path, max_partitions=1)
        result = outcome(run, NEW)
        with pytest.raises(
            TooManyPartitionsError, match=r"2 partitions, the limit is 1; .*--max-partitions"
        ):
            commit.commit(run, result)
        assert delta.load(run.table).version == -1
        assert commit.commit(run._replace(max_partitions=2), result).published is True

    def test_a_run_that_was_overtaken(self, tmp_path: Path) -> None:
        """Another run has committed since this one was planned (invariant 4)."""
        old_table(tmp_path)
        slow, fast = new_run(tmp_path, "slow"), new_run(tmp_path, "fast")
        late = outcome(slow, [Event("a", "2022-01-01T00:00:00Z")])
        commit.commit(fast, outcome(fast, NEW))
        before = listing(fast)
        with pytest.raises(datafiles.ConflictError, match="run again"):
            commit.commit(slow, late)
        assert listing(fast) == before


class TestOrder:
    """Whatever a run dies of, it has either not happened or can be finished (invariant 5)."""

    STEPS = (
        (journal, "stage"),
        (commits, "commit"),
        (delta, "open_newest"),
        (settling, "settle"),
        (journal, "_keep_rejects"),
        (ledger, "extend"),
        (storage, "write_bytes"),
        (storage, "delete_tree"),
    )

    def test_the_steps_come_in_this_order(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What comes before the commit is invisible, what comes after it can be repeated.

        Opening the log takes a while where the table has many files: it is done twice, no more.
        Seen to fail with `settle` before `commit`, and the summary before the ledger.
        """
        run = new_run(tmp_path)
        result = outcome(run, NEW, "nonsense")
        order: list[str] = []

        def noted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                order.append(name)
                return real(*arguments, **options)

            return call

        for module, name in self.STEPS:
            monkeypatch.setattr(module, name, noted(name, getattr(module, name)))

        commit.commit(run, result)

        # The staged journal and the ledger, too, are written with `write_bytes`.
        assert order == [
            *("stage", "write_bytes", "commit", "open_newest", "settle", "open_newest"),
            *("_keep_rejects", "extend", "write_bytes", "write_bytes", "delete_tree"),
        ]

    @pytest.mark.parametrize(
        ("module", "name"), STEPS, ids=lambda it: it if type(it) is str else ""
    )
    @pytest.mark.parametrize("when", ["before", "after"])
    def test_a_step_that_fails_can_be_run_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, when: str
    ) -> None:
        """A runner repeats what has failed; then the run is published, once.

        Seen to fail for "after delete_tree" without the look for the run's own summary: the dead
        letters had gone.
        """
        run = new_run(tmp_path)
        result = outcome(run, NEW, "nonsense")
        real = getattr(module, name)

        def fails(*arguments: Any, **options: Any) -> None:
            if when == "after":
                real(*arguments, **options)
            raise OSError("killed")

        monkeypatch.setattr(module, name, fails)
        with pytest.raises(OSError, match="killed"):
            commit.commit(run, result)
        monkeypatch.setattr(module, name, real)

        summary = commit.commit(run, result)

        assert summary.published is True
        assert delta_rows(run.root) == latest(NEW)
        assert delta.load(run.table).version == 1
        assert len(storage.read_bytes(summary.rejects).splitlines()) == 1
        assert len(ledger.published(run.table)) == 1
        assert not Path(run.staging).exists()


class TestRebuild:
    """The table is made afresh, at once."""

    def test_all_old_files_go_in_the_same_commit(self, tmp_path: Path) -> None:
        """No reader ever sees an empty table, or both (invariant 4).

        Seen to fail with only the files of touched destinations removed.
        """
        old_table(tmp_path)
        run = new_run(tmp_path, rebuild=True, inputs=(f"{tmp_path}/in/r1.jsonl",))
        seen: list[tuple[int, int]] = []
        real = commits.commit

        def count(
            table: Table,
            version: int,
            run_id: str,
            add: Sequence[DataFile],
            remove: Sequence[DataFile],
            *rest: Any,
            **options: Any,
        ) -> int:
            seen.append((len(add), len(remove)))
            return real(table, version, run_id, add, remove, *rest, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(commits, "commit", count)
            commit.commit(run, outcome(run, NEW))

        assert seen == [(2, 2)]
        assert delta_rows(run.root) == latest(NEW)

    def test_what_left_the_table_leaves_the_ledger(self, tmp_path: Path) -> None:
        """Files whose events are no longer in the table can be published again.

        Seen to fail: their events were lost for good, since the files were skipped.
        """
        old_table(tmp_path)
        run = new_run(tmp_path, rebuild=True, inputs=(f"{tmp_path}/in/r1.jsonl",))
        commit.commit(run, outcome(run, NEW))

        again = run_graph(new_run(tmp_path, "r2"))

        assert again["files"] == {"matched": 2, "skipped": 1}
        assert delta_rows(run.root) == latest([*OLD, *NEW])

    def test_killed_before_its_commit_it_changes_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The table is as it was, and so is what is known to be in it."""
        old_table(tmp_path)
        run = new_run(tmp_path, rebuild=True, inputs=(f"{tmp_path}/in/r1.jsonl",))
        result = outcome(run, NEW)
        with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
            patch.setattr(commits, "commit", lambda *_, **__: 1 // 0)
            commit.commit(run, result)
        assert delta_rows(run.root) == latest(OLD)
        again = run_graph(new_run(tmp_path, "r2"))
        assert again["files"] == {"matched": 2, "skipped": 1}
        assert delta_rows(run.root) == latest([*OLD, *NEW])

    def test_a_run_that_it_drops_is_not_in_the_ledger(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also if that run writes its entry last: its files are read again, and nothing is lost.

        Seen to fail with entries that do not say which version they are about.
        """
        old_table(tmp_path)
        slow = new_run(tmp_path, "slow")
        result = outcome(slow, [Event("c")])
        rebuild = new_run(tmp_path, "r1", rebuild=True, inputs=(f"{tmp_path}/in/r1.jsonl",))
        keep = journal.keep

        def rebuild_first(*arguments: Any) -> dict[str, Any]:
            monkeypatch.setattr(journal, "keep", keep)
            commit.commit(rebuild, outcome(rebuild, NEW))
            return keep(*arguments)

        monkeypatch.setattr(journal, "keep", rebuild_first)
        commit.commit(slow, result)
        assert delta_rows(slow.root) == latest(NEW)

        again = run_graph(new_run(tmp_path, "r2"))

        assert again["files"] == {"matched": 3, "skipped": 1}
        assert delta_rows(slow.root) == latest([*OLD, Event("c"), *NEW])

    def test_without_a_valid_event_the_table_stays(self, tmp_path: Path) -> None:
        """A rebuild from the wrong files must not empty the table.

        Seen to fail with `live` removed whatever there is to add.
        """
        old = old_table(tmp_path)
        run = new_run(tmp_path, rebuild=True, inputs=(f"{tmp_path}/in/r1.jsonl",))
        before = listing(old)

        summary = commit.commit(run, outcome(run, [], "nonsense"))

        assert summary.published is False
        assert summary.events.rejected == 1
        assert listing(old) == before
        assert delta_rows(run.root) == latest(OLD)


class TestNoNews:
    """Where there is nothing to publish, nothing is."""

    def test_without_a_valid_event_no_table_is_made(self, tmp_path: Path) -> None:
        """But its files' rejects are, and the summary says that nothing was published.

        Seen to fail: an empty table was committed.
        """
        run = new_run(tmp_path)
        summary = commit.commit(run, outcome(run, [], "nonsense"))
        assert (summary.published, summary.version) == (False, -1)
        assert delta.load(run.table).version == -1
        assert storage.exists(summary.rejects)

    def test_a_run_without_news_changes_no_file(self, tmp_path: Path) -> None:
        """A second run on the same files leaves files and version as they are (invariant 6)."""
        old = old_table(tmp_path)
        before = listing(old)
        summary = run_graph(new_run(tmp_path, "r1"))
        assert summary["published"] is False
        assert summary["files"] == {"matched": 1, "skipped": 1}
        assert listing(old) == before
