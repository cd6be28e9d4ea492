"""The DoFns from the plan to the versions: which elements and counts they make of what comes in."""

import functools
from pathlib import Path

import numpy as np
import pytest

from pipeline.graph import combiners, dofns, tags
from pipeline.keys import delivery_keys, versions
from pipeline.keys.partitions import Destination, day_number, shard_of
from pipeline.rows.live_rows import LiveFile
from pipeline.steps import decode
from pipeline.steps.plan import ScanTask
from pipeline.steps.sizes import Sizes
from pipeline.table.datafiles import DataFile
from tests.by_hand import ID_SEED, NO_FILTER, new_run, read_events, write_live
from tests.deliveries import Event, deliver
from tests.graph.outputs import MAIN, by_tag, tally_of

BLOCK = versions.FIRST_BLOCK
MONDAY = Destination("account", "created", 2021, 1, 8)
LIVE_FILE = DataFile("live.parquet", MONDAY, 10, 100, None, None)


class TestPlanRun:
    """Every part of the plan travels by itself."""

    def test_outputs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A task for each block, and one for some small live files."""
        deliver(tmp_path / "in" / "1.jsonl", [Event("a")])
        plan = dofns.plan.plan(new_run(tmp_path))
        scans = [ScanTask(n, LIVE_FILE._replace(rows=n), plan.reads[0].sizes) for n in range(2)]
        plan = plan._replace(scans=scans)
        monkeypatch.setattr(dofns.plan, "plan", lambda run: plan)

        found = by_tag(dofns.PlanRun().process(new_run(tmp_path)))

        assert found[tags.READS] == plan.reads
        assert found[tags.SCANS] == [tuple(scans)]
        assert found[MAIN] == [plan._replace(reads=[], scans=[])]
        assert tally_of(found, "plan") == {
            "files": 1,
            "blocks": 1,
            "bytes": plan.reads[0].block.bytes,
            "live_files": 2,
            "comparisons": 2,
        }


class TestReadBlocks:
    """What a block gives is told apart by name, and counted."""

    def test_a_call(self, tmp_path: Path) -> None:
        """Everything that reading depends on comes from the run and its plan."""
        deliver(tmp_path / "in" / "1.jsonl", [Event("a")])
        run = new_run(tmp_path, max_event_bytes=999)
        (task,) = dofns.plan.plan(run).reads
        step = dofns.ReadBlocks(run, 2, "scratch")

        call = step.call(task)

        assert isinstance(call, functools.partial)
        assert call.args == (
            task.block,
            decode.ReadSettings(
                run=run.id,
                directory=run.staging,
                sizes=task.sizes,
                max_event_bytes=999,
                scratch="scratch",
            ),
        )
        assert step.work_bytes(task) == task.block.bytes

    @pytest.mark.parametrize("stored", [False, True])
    def test_outputs(self, tmp_path: Path, stored: bool) -> None:
        """Versions by bucket, slices by origin, the filter, the dead letters and all counts."""
        block = read_events(
            tmp_path,
            [Event("a"), Event("b"), Event("a", "2021-01-09T00:00:00Z")],
            "nonsense",
            '{"a": 1}',
            buckets=2,
            filter_size=delivery_keys.Size(1 << 10, True),
            scratch=str(tmp_path) if stored else "",
        )

        found = by_tag(dofns.ReadBlocks(new_run(tmp_path), 0, "").outputs(block))

        assert sum(len(versions.unpack([part])) for _, part in found[MAIN]) == 3
        assert {bucket for bucket, _ in found[MAIN]} <= {0, 1}
        kind = versions.Stored if stored else bytes
        assert {type(part) for _, part in found[MAIN]} == {kind}
        assert found[tags.SLICES] == [(BLOCK, tuple(block.slices))]
        assert found[tags.WEIGHTS] == [block.weights]
        assert found[tags.DELIVERY_KEYS] == [block.delivery_keys]
        assert found[tags.REJECTS] == [block.dead_letters]
        assert found[tags.CATALOGUES] == [block.catalogue]
        assert tally_of(found, "read") == {
            "blocks": 1,
            "bytes": block.bytes,
            "events": 5,
            "rejected": 2,
            "dead_letter_files": 1,
            "versions": 3,
            "sampled": 3,
            "slices": 2,
            "rejected.not-json": 1,
            "rejected.missing-field": 1,
        }

    def test_a_block_without_events_is_still_counted(self, tmp_path: Path) -> None:
        """Its slices, none, travel on: so it is seen to be routed, and its filter to be known."""
        block = read_events(tmp_path, [], " ")
        found = by_tag(dofns.ReadBlocks(new_run(tmp_path), 0, "").outputs(block))
        assert MAIN not in found
        assert tags.REJECTS not in found
        assert tags.CATALOGUES not in found
        assert found[tags.SLICES] == [(BLOCK, ())]
        assert found[tags.DELIVERY_KEYS][0].blocks == 1


class TestScanLiveFiles:
    """A scan of a live file against the delivery."""

    def test_outputs(self, tmp_path: Path) -> None:
        """The rows that compete, by bucket, and how much of the delivery they were compared to."""
        file = write_live(tmp_path, [Event("a"), Event("b")])
        scanner = dofns.ScanLiveFiles(new_run(tmp_path), 0)
        delivery = delivery_keys.NOTHING._replace(blocks=3)

        found = by_tag(
            scanner.process((ScanTask(7, file, Sizes(ID_SEED, 1, 4, NO_FILTER)),), delivery)
        )

        ((bucket, part),) = found[MAIN]
        locations = versions.unpack([part])["location"].tolist()
        assert (bucket, locations) == (0, [7 << versions._ROW_BITS, (7 << versions._ROW_BITS) + 1])
        ((number, live),) = found[tags.LIVE]
        assert (number, live.shard, live.file) == (7, shard_of(file.destination, 4), file)
        assert 2 * 23 < live.bytes < 1000
        assert tally_of(found, "scan") == {
            "live_files": 1,
            "versions": 2,
            "comparisons": 3,
            "files_passed_over": 0,
            "rows_passed_over": 0,
        }

    def test_a_file_beyond_the_horizon_is_passed_over(self, tmp_path: Path) -> None:
        """It is not opened, so it may be missing; but it counts as any other, for the equations."""
        file = write_live(tmp_path, [Event("a"), Event("b")])._replace(path="gone.parquet")
        scanner = dofns.ScanLiveFiles(new_run(tmp_path, dedup_days=1), 0)
        days = frozenset([day_number(*file.destination[2:]) + 2])
        delivery = delivery_keys.NOTHING._replace(blocks=3, days=days)

        found = by_tag(
            scanner.process((ScanTask(7, file, Sizes(ID_SEED, 1, 1, NO_FILTER)),), delivery)
        )

        assert MAIN not in found
        assert found[tags.LIVE] == [(7, LiveFile(0, file, 0))]
        assert tally_of(found, "scan") == {
            "live_files": 1,
            "versions": 0,
            "comparisons": 3,
            "files_passed_over": 1,
            "rows_passed_over": 2,
        }


class TestCombineDeliveryKeys:
    """The filters of all blocks become one."""

    def test_in_any_grouping(self, tmp_path: Path) -> None:
        """One accumulator, or many merged: all ids and all blocks are in it."""
        combine = combiners.CombineDeliveryKeys()
        ids = np.arange(9, dtype=np.uint64)
        size = delivery_keys.Size(1 << 10, True)
        micros = np.zeros(3, np.int64)
        parts = [
            delivery_keys.collect(size, ids[n : n + 3], micros, (), str(tmp_path))
            for n in (0, 3, 6)
        ]
        one = combine.create_accumulator()
        for part in parts:
            one = combine.add_input(one, part)
        accumulators = [combine.add_input(combine.create_accumulator(), part) for part in parts]
        merged = combine.merge_accumulators([*accumulators, combine.create_accumulator()])

        for whole in (combine.extract_output(one), combine.extract_output(merged)):
            assert whole.blocks == 3
            delivered = delivery_keys.filter_of(whole)
            assert delivery_keys.competes(delivered, ids).tolist() == [*range(9)]
            assert delivery_keys.ties(delivered, ids, np.zeros(9, np.int64)).all()
