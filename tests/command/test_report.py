"""The report: every number of the summary that people need, and the words around them."""

from __future__ import annotations

import copy
from typing import Any

import msgspec

from pipeline.bookkeeping.summary import RunSummary
from pipeline.command import report

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
    "counts": {},
}

TEXT = """\
run 20210108T100000-abcdef

  files                12 read
                        2 skipped: published before
  bytes        52,500,000 read
  events          200,000 read
             =    178,000 kept
             +     14,000 superseded
             +      7,900 exact duplicates
             +        100 rejected
                            70 not-json
                            30 bad-timestamp
  partitions           98 written
                       99 touched
  table         1,234,567 rows
                       12 older rows have left it
                      110 partitions
                      120 files
               98,765,432 bytes
  seconds            5.25 from plan to commit, 10.0 MB/s of input; steps, added up over cores:
                     0.01   plan
                     4.20   read, 12.5 MB/s
                     0.50   scan, 105.0 MB/s
                     0.02   latest
                     2.10   write, 25.0 MB/s
                     0.10   commit, 525.0 MB/s
  rejects      /my/table/_eventsift/rejects/20210108T100000-abcdef.jsonl
  output       /my/table

Published as version 3."""

SHORT_TEXT = """\
run 20210108T100000-abcdef

  files                 0 read
                       14 skipped: published before
  table         1,234,567 rows
                      110 partitions
                      120 files
               98,765,432 bytes
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


def test_the_report_as_people_see_it() -> None:
    """Numbers in one column, the events adding up, reasons by frequency."""
    assert report.text(typed(SUMMARY)) == TEXT


def test_one_line_holds_what_matters() -> None:
    """As watch mode prints it, round by round."""
    assert report.line(typed(SUMMARY)) == (
        "run 20210108T100000-abcdef: 12 files, 200,000 events: 178,000 kept, 14,000 superseded,"
        " 7,900 exact duplicates, 100 rejected; 5.2 s; Published as version 3."
    )


def test_a_horizon_is_told() -> None:
    """Whoever limits the search sees how far it went, and what it left out."""
    horizon = {"days": 7, "files_not_searched": 12, "rows_not_searched": 34_567}
    summary = SUMMARY | {"horizon": horizon}
    searched = "within 7 days of the delivery's dates; not searched: 12 files (34,567 rows)"

    assert f"\n  searched     {searched}\n  rejects " in report.text(typed(summary))
    assert report.line(typed(summary)).endswith(f" Published as version 3. Searched {searched}.")


def test_what_was_left_out_is_told() -> None:
    """As a number among the files, with the first names and reasons; each has a line of its own."""
    first = [{"path": f"/in/{n}", "reason": "a pipe, not a file"} for n in range(100)]
    few = SUMMARY | {"left_out": {"count": 2, "first": first[:2]}}
    many = SUMMARY | {"left_out": {"count": 250, "first": first}}
    why = "a pipe, not a file"
    text = report.text(typed(few))

    assert "\n                        2 left out: cannot be read\n  bytes" in text
    assert f"\n  left out     /in/0: {why}; /in/1: {why}\n  rejects" in text
    assert f"/in/2: {why}; and 247 more\n" in report.text(typed(many))
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

    text = report.text(typed(summary))

    for words in ("skipped", "left", "searched", "rejects ", "scan", "not-json"):
        assert words not in text


def test_a_run_without_news_is_short() -> None:
    """All files were published before: the table is shown, no events, no seconds."""
    summary = changed(
        published=False,
        files={"skipped": 14},
        events=dict.fromkeys(SUMMARY["events"], 0),
        table={"replaced_rows": 0},
        rejects=None,
    )

    assert report.text(typed(summary)) == SHORT_TEXT


def test_the_verdict_says_why_nothing_was_published() -> None:
    """Files without a valid event, and files with none that is later than what the table has."""
    invalid = changed(
        published=False, events={"read": 100, "kept": 0}, first_reject="not-json: 'oops'"
    )
    assert report.text(typed(invalid)).endswith(
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
