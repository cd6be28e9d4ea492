"""The report: every number of the summary that people need, and the words around them."""

from __future__ import annotations

import copy
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.bookkeeping.dead_letters import Letter
from pipeline.bookkeeping.summary import RunSummary
from pipeline.command import report
from tests.small_runs import line, run, write

SUMMARY: dict[str, Any] = {
    "run": "20210108T100000-abcdef",
    "output": "/my/table",
    "version": 3,
    "published": True,
    "rebuild": False,
    "files": {"matched": 14, "skipped": 2},
    "left_out": {"count": 0, "first": []},
    "bytes": 52_500_000,
    "events": {
        "read": 200_000,
        "kept": 178_000,
        "superseded": 14_000,
        "exact_duplicates": 7_900,
        "rejected": 100,
    },
    "rejected": {"bad-timestamp": 30, "not-json": 70},
    "first_reject": None,
    "rejects": "/my/table/_eventsift/rejects/20210108T100000-abcdef.jsonl",
    "horizon": None,
    "table": {
        "rows": 1_234_567,
        "replaced_rows": 12,
        "files": 120,
        "bytes": 98_765_432,
        "partitions": 110,
        "partitions_written": 98,
        "partitions_touched": 99,
        "files_written": 98,
        "files_replaced": 97,
    },
    "wall_seconds": 5.25,
    "seconds": {
        "plan": 0.01,
        "read": 4.2,
        "scan": 0.5,
        "latest": 0.02,
        "route": 0.0,
        "write": 2.1,
        "commit": 0.1,
    },
    "new_types": [["account", "created"], ["shop", "sale"]],
    "counts": {},
}

LETTERS = {
    "not-json": [Letter("/in/a", 7, 4, "not-json", "JSON is malformed: 'oops'")],
    "bad-timestamp": [
        Letter("/in/a", 99, 80, "bad-timestamp", "timestamp 'soon' is not \x1b[31m " + 30 * "so ")
    ],
}

TEXT = f"""\
run 20210108T100000-abcdef

  events         200,000 read
             =   178,000 kept
             +    14,000 superseded
             +     7,900 exact duplicates
             +       100 rejected
  table      +   178,000 rows
             -        12 older rows with the same event_ids
               1,234,567 rows now
                     110 partitions; 98 written, 1 with rows removed only
                     120 files, 98,765,432 bytes; 98 new, 97 replaced
                       2 new types: account/created, shop/sale
  input               12 files read, 52,500,000 bytes
                       2 files skipped: published before
  time         5.2 s from plan to commit (10.0 MB/s); added up over cores:
               read 4.2 s, scan 0.5 s, write 2.1 s, commit 0.1 s
  output       /my/table
  rejected            70 not-json: JSON is malformed: 'oops'
                      30 bad-timestamp: timestamp 'soon' is not \\x1b[31m so so
                         so so so so so so so so so so so so so so so so so so
                         so so so so so so so so so so
  next         look at the rejects; deliver corrected records in a new file:
                 {shlex.quote(sys.executable)} -m json.tool --json-lines \\
                   /my/table/_eventsift/rejects/20210108T100000-abcdef.jsonl | more

Published as version 3."""

SHORT_TEXT = """\
run 20210108T100000-abcdef

  table        1,234,567 rows
                     110 partitions
                     120 files, 98,765,432 bytes
  input                0 files read
                      14 files skipped: published before
  output       /my/table

Nothing new: every file was published before."""


def changed(**parts: Any) -> dict[str, Any]:
    """The summary with other values; those of a part that is a dict are merged into it."""
    summary = copy.deepcopy(SUMMARY)
    for name, value in parts.items():
        if isinstance(value, dict):
            summary[name].update(value)
        else:
            summary[name] = value
    return summary


def typed(summary: dict[str, Any]) -> RunSummary:
    """The summary as the report gets it."""
    return msgspec.convert(summary, RunSummary)


def words(text: str) -> str:
    """A text without its line breaks and columns."""
    return " ".join(text.split())


def test_the_report_as_people_see_it() -> None:
    """The equation first, then the table, then rejects and what to do, all in 80 columns.

    A message of somebody else's does nothing to the terminal; only a path may be longer.
    """
    text = report.text(typed(SUMMARY), LETTERS)
    assert text == TEXT
    assert [line for line in text.splitlines() if len(line) > 80 and "/" not in line] == []


def test_a_field_that_has_another_name() -> None:
    """What to rename stands beside what is missing."""
    raw = '{"event_id": "a", "ts": "2021-01-08T10:00:00Z", "domain": "d", "event_type": "t"}'
    message = "timestamp is missing"
    letters = {"missing-field": [Letter("/in/a", 0, 80, "missing-field", message, raw)]}
    summary = SUMMARY | {"rejected": {"missing-field": 1}}
    text = words(report.text(typed(summary), letters))
    assert "missing-field: rename 'ts' to 'timestamp'; timestamp is missing" in text


def test_one_line_holds_what_matters() -> None:
    """As watch mode prints it, round by round."""
    assert report.line(typed(SUMMARY)) == (
        "run 20210108T100000-abcdef: 12 files, 200,000 events: 178,000 kept, 14,000 superseded,"
        " 7,900 exact duplicates, 100 rejected; 5.2 s; Published as version 3."
    )


def test_one_is_not_called_several() -> None:
    """1 file, 1 event: in both forms of the report."""
    one = changed(
        files={"matched": 2, "skipped": 1},
        left_out={"count": 1, "first": [{"path": "/in/0", "reason": "a pipe, not a file"}]},
        bytes=1,
        events={"read": 1, "kept": 1, "superseded": 0, "exact_duplicates": 1, "rejected": 0},
        horizon=None,
        table=dict.fromkeys(SUMMARY["table"], 1),
        new_types=[["account", "created"]],
    )
    one["horizon"] = {"days": 1, "files_not_searched": 1, "rows_not_searched": 1}

    for text in (report.text(typed(one)), report.line(typed(one))):
        for noun in ("files", "bytes", "rows", "events", "duplicates", "types", "days"):
            assert f"1 {noun}" not in words(text)
    assert "1 row now" in words(report.text(typed(one)))


def test_changed_fields() -> None:
    """Of the first three types; that there are more is said. Names do nothing to a terminal."""
    changes = [
        {"domain": "card", "event_type": kind, "new": 2, "new_paths": ["$.tags", "$.to"]}
        for kind in ("issued", "lost", "\x1b[31mred", "used", "worn")
    ]

    text = words(report.text(typed(changed(fields=changes))))

    assert "fields card/issued: 2 new fields (tags, to); card/lost: 2 new fields" in text
    assert "; and 2 more types" in text
    assert "\x1b" not in text
    assert "fields" not in report.text(typed(SUMMARY))


def test_rates_only_where_they_mean_something() -> None:
    """The start of a run says nothing about how fast it reads; no step has a rate of its own."""
    short = changed(wall_seconds=0.9, seconds={"read": 0.06, "scan": 0.04})
    assert "MB/s" not in report.text(typed(short))
    assert report.text(typed(SUMMARY)).count("MB/s") == 1
    assert "MB/s" not in report.text(typed(changed(bytes=4_900_000)))
    assert "time 0.9 s from plan to commit; added up over cores: read 0.1 s, write" in words(
        report.text(typed(short))
    )


def test_a_horizon_is_told() -> None:
    """Whoever limits the search sees how far it went, and what it left out."""
    horizon = {"days": 7, "files_not_searched": 12, "rows_not_searched": 34_567}
    summary = SUMMARY | {"horizon": horizon}
    searched = "within 7 days of the delivery's dates; not searched: 12 files (34,567 rows)"

    assert f" searched {searched} time " in words(report.text(typed(summary)))
    assert report.line(typed(summary)).endswith(f" Published as version 3. Searched {searched}.")


def test_what_was_left_out_is_told() -> None:
    """As a number among the files, with the first names and reasons; each has a line of its own."""
    first = [{"path": f"/in/{n}", "reason": "a pipe, not a file"} for n in range(100)]
    few = SUMMARY | {"left_out": {"count": 2, "first": first[:2]}}
    many = SUMMARY | {"left_out": {"count": 250, "first": first}}
    why = "a pipe, not a file"
    text = report.text(typed(few))

    assert "\n                       2 files left out: cannot be read\n  left out" in text
    assert f"\n  left out     /in/0: {why}; /in/1: {why}\n  time" in text
    assert f"/in/2: {why}; and 247 more time" in words(report.text(typed(many)))
    assert "next mend what was left out: the next run reads it" in words(text)
    assert report.warnings(typed(SUMMARY)) == []
    assert report.warnings(typed(few)) == [f"left out /in/0: {why}", f"left out /in/1: {why}"]
    assert len(report.warnings(typed(many))) == 21
    assert report.warnings(typed(many))[-1] == "left out 230 more, see the run's summary"


def test_nothing_is_said_of_what_there_was_not() -> None:
    """A first run that skips, rejects and replaces nothing has no lines for these."""
    summary = changed(
        files={"skipped": 0}, rejects=None, table={"replaced_rows": 0}, seconds={"scan": 0.0}
    )
    summary["rejected"] = {}
    summary["new_types"] = []

    text = report.text(typed(summary))

    for word in (
        "skipped",
        "left",
        "searched",
        "rejects ",
        "scan",
        "not-json",
        "older",
        "new type",
    ):
        assert word not in text


def test_a_run_without_news_is_short() -> None:
    """All files were published before: the table is shown, no events, no seconds."""
    summary = changed(
        published=False,
        files={"skipped": 14},
        events=dict.fromkeys(SUMMARY["events"], 0),
        table={"replaced_rows": 0},
        rejects=None,
        new_types=[],
    )
    summary["rejected"] = {}

    assert report.text(typed(summary)) == SHORT_TEXT


def test_a_rebuilt_table_has_no_rows_before() -> None:
    """What was there has gone; a plus and a minus would say otherwise."""
    text = report.text(typed(SUMMARY | {"rebuild": True}))
    assert "  table        1,234,567 rows, made anew from these files\n" in text
    assert "older rows" not in text


def test_the_verdict_says_why_nothing_was_published() -> None:
    """Files without a valid event, and files with none that is later than what the table has."""
    invalid = changed(
        published=False, events={"read": 100, "kept": 0}, first_reject="not-json: 'oops'"
    )
    assert words(report.text(typed(invalid))).endswith(
        "Nothing was published: every record was rejected, the first with \"not-json: 'oops'\". The"
        " dead letters are in /my/table/_eventsift/rejects/20210108T100000-abcdef.jsonl: correct"
        " the records, and deliver them in a new file."
    )
    empty = changed(published=False, events={"read": 0, "kept": 0, "rejected": 0})
    assert report.text(typed(empty)).endswith("Nothing was published: the files have no record.")

    known = changed(published=False, events={"kept": 0})
    assert report.text(typed(known)).endswith(
        "Nothing new to publish: no event is later than what the table has."
    )


class TestNext:
    """What to do next: a command to copy."""

    def test_many_small_files_are_merged(self) -> None:
        """As soon as partitions have several; not where files are large."""
        many = changed(rejects=None, table={"files": 440})
        large = changed(rejects=None, table={"files": 440, "bytes": 440 << 23})
        assert "pipeline.compact --output /my/table" in report.text(typed(many))
        assert "compact" not in report.text(typed(large))

    def test_the_first_run_names_the_status(self) -> None:
        """Later ones need not."""
        first = changed(rejects=None, table={"files": 98})
        assert "status --output /my/table" in report.text(typed(first))
        assert "status" not in report.text(typed(changed(rejects=None)))

    def test_the_command_for_rejects_works(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """It is copied as it stands, and shows each reject with its reason, source and offset."""
        source = write(tmp_path / "it's in" / "1.jsonl", line("a"), "oops", "{}")
        run(source, tmp_path / "a table")
        text = capsys.readouterr().out
        command = text.partition("in a new file:\n")[2].partition("\n\n")[0]

        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)

        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.count('"reason": ') == 2
        assert f'"source": "{source}"' in done.stdout
        assert "1 not-json: " in text
        assert "1 missing-field: event_id is missing, there is only []" in words(text)
