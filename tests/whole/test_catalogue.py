"""The catalogue of a table through runs that go on, die, are repeated, or rebuild the table."""

import json
from pathlib import Path
from types import ModuleType

import pytest

from pipeline.bookkeeping import catalogues, journal, ledger
from pipeline.catalogue import nodes
from pipeline.catalogue.nodes import Catalogue
from pipeline.steps import commit
from pipeline.table import delta
from pipeline.table.address import Table
from tests.by_hand import new_run, run_graph
from tests.commands import run
from tests.crashes import killed_at
from tests.deliveries import Event, deliver

FIRST = [Event("a", 0, '{"id": 1, "old": 1}'), Event("b", 1, '{"id": 2, "old": 2}')]
SECOND = [Event("c", 2, '{"id": "x", "new": [1]}'), Event("a", 3, '{"id": 3, "new": []}')]


def kept(root: str) -> Catalogue:
    """What is kept beside a table."""
    return catalogues.load(root, delta.load(Table(root)).lineage)


def counts(found: Catalogue) -> dict[str, int]:
    """How often each path was seen."""
    (entry,) = found.types
    return {field.path: field.node.count for field in nodes.fields(entry.root)}


BOTH = {"$": 4, "$.id": 4, "$.old": 2, "$.new": 2, "$.new[*]": 1}


def test_runs_add_up(tmp_path: Path) -> None:
    """Every delivered version is looked at, and what is different is in the summary."""
    deliver(tmp_path / "in" / "1.jsonl", FIRST)
    assert run_graph(new_run(tmp_path, "r1"))["fields"] == []
    deliver(tmp_path / "in" / "2.jsonl", SECOND)
    summary = run_graph(new_run(tmp_path, "r2"))
    assert summary["counts"]["read.sampled"] == summary["counts"]["commit.sampled"] == 2
    assert summary["fields"] == [
        {
            "domain": "account",
            "event_type": "created",
            "new": 1,
            "new_paths": ["$.new"],
            "changed": 1,
            "changed_paths": ["$.id: string beside integer"],
        }
    ]
    assert counts(kept(f"{tmp_path}/out")) == BOTH


@pytest.mark.parametrize(
    ("module", "function"),
    [
        (commit.commits, "commit"),
        (commit.settling, "settle"),
        (catalogues, "keep"),
        (ledger, "extend"),
        (journal.summary, "encode"),
        (commit, "_remove_staged"),
    ],
)
def test_a_killed_run_is_counted_once(tmp_path: Path, module: ModuleType, function: str) -> None:
    """Wherever it dies: the next run reads its files, or finishes what it has begun.

    Seen to fail with the catalogue left out of the journal.
    """
    table, inputs = tmp_path / "out", tmp_path / "in"
    deliver(inputs / "1.jsonl", FIRST)
    assert run(table, inputs) == 0
    deliver(inputs / "2.jsonl", SECOND)
    with killed_at(module, function):
        run(table, inputs)
    assert run(table, inputs) == 0

    assert counts(kept(str(table))) == BOTH
    summaries = [json.loads(path.read_bytes()) for path in (table / journal.RUNS).glob("*.json")]
    changes = [change["new_paths"] for one in summaries for change in one["fields"]]
    assert changes == [["$.new"]]


def test_a_rebuilt_table_has_what_it_was_made_of(tmp_path: Path) -> None:
    """What is not in the table any more is forgotten."""
    first = deliver(tmp_path / "in" / "1.jsonl", FIRST)
    run_graph(new_run(tmp_path, "r1"))
    deliver(tmp_path / "in" / "2.jsonl", SECOND)
    first.unlink()
    run_graph(new_run(tmp_path, "r2", rebuild=True))
    assert counts(kept(f"{tmp_path}/out")) == {"$": 2, "$.id": 2, "$.new": 2, "$.new[*]": 1}


def test_it_is_the_same_however_the_work_is_spread(tmp_path: Path) -> None:
    """Over workers, and over files that lie in one block."""
    events = [
        Event(f"e{number}", number % 9_000, json.dumps({"n": number, f"k{number % 7}": 1}))
        for number in range(3_000)
    ]
    found = []
    for name, workers in (("one", 0), ("two", 2)):
        for start in range(0, len(events), 1_000):
            path = tmp_path / name / "in" / f"{start}.jsonl"
            deliver(path, events[start : start + 1_000])
        run_graph(new_run(tmp_path / name), workers)
        found.append(nodes.encode(kept(f"{tmp_path}/{name}/out")))
    assert found[0] == found[1]
    assert nodes.decode(found[0]).payloads == 256
