"""Deliveries merged into a table: rows that move, ties, and what must not be touched."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pipeline.verify.check import table_digest, verify
from tests import oracle
from tests.commands import run_here
from tests.deliveries import Event, deliver
from tests.tables import delta_rows, files_of

NANOS = ("", ".000000001", ".000000002", ".0000019", ".000002")


def partitions(output: Path) -> dict[str, list[str]]:
    """The event_ids in each partition, by "domain/event_type/day"."""
    found: dict[str, list[str]] = {}
    for row in sorted(delta_rows(output).elements(), key=repr):
        partition = f"{row.domain}/{row.event_type}/{row.day}"
        found.setdefault(partition, []).append(row.event_id)
    return found


def folders(output: Path) -> list[str]:
    """The partitions that a reader of plain files finds."""
    days = output.glob("domain=*/event_type=*/year=2021/month=01/day=*")
    return sorted("/".join(part.split("=")[1] for part in day.parts[-5:]) for day in days)


def test_later_versions_move_rows_to_their_new_partitions(tmp_path: Path) -> None:
    """Invariant 2, both ways: across day, type and domain, with the new version first or last.

    A version that arrives late changes nothing where it would lie. Seen to fail: `RouteRows`
    that drops the live files (the tallies refuse to publish).
    """
    first = [
        Event("day", "2021-01-08T10:00:00Z", '"old"'),
        Event("type", "2021-01-08T10:00:00Z", '"old"'),
        Event("domain", "2021-01-08T10:00:00Z", '"old"'),
        Event("late day", "2021-01-09T10:00:00Z", '"new"'),
        Event("late type", "2021-01-08T11:00:00Z", '"new"', event_type="closed"),
        Event("late domain", "2021-01-08T11:00:00Z", '"new"', domain="shop"),
    ]
    second = [
        Event("day", "2021-01-09T10:00:00Z", '"new"'),
        Event("type", "2021-01-08T11:00:00Z", '"new"', event_type="closed"),
        Event("domain", "2021-01-08T11:00:00Z", '"new"', domain="shop"),
        Event("late day", "2021-01-08T10:00:00Z", '"old"'),
        Event("late type", "2021-01-08T10:00:00Z", '"old"'),
        Event("late domain", "2021-01-08T10:00:00Z", '"old"'),
    ]
    output = tmp_path / "out"
    run_here(deliver(tmp_path / "first.jsonl", first), output)
    assert partitions(output) == {
        "account/created/8": ["day", "domain", "type"],
        "account/created/9": ["late day"],
        "account/closed/8": ["late type"],
        "shop/created/8": ["late domain"],
    }

    summary = run_here(deliver(tmp_path / "second.jsonl", second), output)

    assert partitions(output) == {
        "account/created/9": ["day", "late day"],
        "account/closed/8": ["late type", "type"],
        "shop/created/8": ["domain", "late domain"],
    }
    assert {row.data for row in delta_rows(output)} == {'"new"'}
    assert (summary["events"]["kept"], summary["events"]["superseded"]) == (3, 3)
    assert summary["table"]["replaced_rows"] == 3
    assert summary["table"]["partitions_written"] == 3
    assert summary["table"]["partitions_touched"] == 4  # the emptied one, too


def test_emptied_folders_go_and_untouched_files_stay(tmp_path: Path) -> None:
    """Invariant 6: files of other destinations keep name, inode, time and bytes.

    And a partition whose last row has moved away disappears, with the folders above it. Seen to
    fail: `write._folded` that takes all live files.
    """
    first = [
        Event("moves", "2021-01-08T10:00:00Z", domain="left", event_type="behind"),
        Event("stays", "2021-01-08T10:00:00Z"),
        Event("has company", "2021-01-09T10:00:00Z"),
    ]
    output = tmp_path / "out"
    run_here(deliver(tmp_path / "first.jsonl", first), output)
    before = files_of(output)
    later = Event("moves", "2021-01-09T10:00:00Z")

    run_here(deliver(tmp_path / "second.jsonl", [later]), output)

    assert folders(output) == [
        "account/created/2021/01/08",
        "account/created/2021/01/09",
    ]
    assert not (output / "domain=left").exists()
    after = files_of(output)
    untouched = [path for path in before if "day=08" in path and "left" not in path]
    assert len(untouched) == 1
    assert [after[path] for path in untouched] == [before[path] for path in untouched]
    log = [path for path in before if path.startswith("_delta_log")]
    assert [after[path] for path in log] == [before[path] for path in log]
    assert verify(str(output)).findings == []


def crowded(seed: int) -> list[Event]:
    """150 events that are as much alike as can be: few ids, instants, destinations, payloads."""
    chance = random.Random(seed)
    return [
        Event(
            f"id-{chance.randrange(20)}",
            f"2021-01-{chance.choice(['08', '09'])} 23:59:59{chance.choice(NANOS)}",
            chance.choice(["1", "1.0", '"1"', '{"a": [1]}', '{"a": 1}']),
            domain=chance.choice(["account", "shop"]),
            event_type=chance.choice(["created", "closed"]),
            more=chance.choice(["", "", '"source": "a"', '"source": "b"']),
        )
        for _ in range(150)
    ]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)], ids=str)
def test_ties_across_runs_settle_as_within_one(tmp_path: Path, order: tuple[int, ...]) -> None:
    """Invariant 1 at its narrowest: equal instants, exact copies, nanoseconds apart, over runs.

    Seen to fail: `events.digest` without `extra`; `scan.scan_file` that leaves all digests 0;
    `latest.latest` that lets a live row win any tie.
    """
    deliveries = [deliver(tmp_path / f"{n}.jsonl", crowded(n)) for n in range(3)]
    output = tmp_path / "out"

    for runs in range(1, 4):
        delivery = deliveries[order[runs - 1]]
        summary = run_here(delivery, output)

        events = summary["events"]
        assert delta_rows(output) == oracle.expect(deliveries[n] for n in order[:runs]).rows
        assert events["read"] == sum(events.values()) - events["read"] == 150
        assert verify(str(output)).findings == []

    at_once = tmp_path / "at once"
    summary = run_here(deliveries, at_once)

    assert summary["events"] == oracle.expect(deliveries).events
    assert table_digest(str(at_once)) == table_digest(str(output))


def test_instants_a_nanosecond_apart_are_told_apart_across_runs(tmp_path: Path) -> None:
    """The later instant wins whichever of them is in the table, though Parquet shows them alike.

    Seen to fail: `events.digest` without nanos.
    """
    output = tmp_path / "out"
    for run, (up, down) in enumerate(
        [(".000000001", ".000000003"), (".000000002", ".000000002"), (".000000003", ".000000001")]
    ):
        events = [
            Event("up", f"2021-01-08T10:00:00{up}Z", f'"{up}"'),
            Event("down", f"2021-01-08T10:00:00{down}Z", f'"{down}"'),
        ]
        run_here(deliver(tmp_path / f"{run}.jsonl", events), output)

    assert {row.event_id: (row.nanos, row.data) for row in delta_rows(output)} == {
        "up": (3, '".000000003"'),
        "down": (3, '".000000003"'),
    }
