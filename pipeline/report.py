"""What people see of a run: its record as text."""

from typing import Any

# The steps in the order of the graph; those that use several cores count each one's time.
_STEPS = ("plan", "read", "scan", "latest", "write", "commit")


def text(record: dict[str, Any]) -> str:
    """The report of a run.

    Args:
        record: As `publish.publish` returns it.
    """
    files, events, table = record["files"], record["events"], record["table"]
    new = files["matched"] - files["skipped"]
    lines = [f"run {record['run']}", ""]
    lines += _row("files", f"{new:,} read, {files['skipped']:,} skipped (published before)")
    if new:
        lines += _row("bytes", f"{record['bytes']:,}")
        lines += _row("events", f"{events['read']:,} read")
        for name in ("kept", "superseded", "exact_duplicates", "rejected"):
            lines += _row("", f"{events[name]:,} {name.replace('_', ' ')}")
        for reason, count in sorted(record["rejected"].items(), key=lambda item: -item[1]):
            lines += _row("", f"  {count:,} {reason}")
        lines += _row("check", _equation(events))
    if record["published"]:
        lines += _row(
            "partitions",
            f"{table['partitions_written']:,} written, {table['partitions_touched']:,} touched,"
            f" {table['partitions']:,} in the table",
        )
        if table["replaced_rows"]:
            lines += _row("", f"{table['replaced_rows']:,} older rows left the table")
    lines += _row(
        "table", f"{table['rows']:,} rows, {table['files']:,} files, {table['bytes']:,} bytes"
    )
    if new:
        lines += _row("seconds", _seconds(record))
    if record["rejects"]:
        lines += _row("rejects", record["rejects"])
    lines += _row("output", record["output"])
    return "\n".join([*lines, "", _verdict(record)])


def _row(name: str, value: str) -> list[str]:
    return [f"  {name:<11}{value}"]


def _equation(events: dict[str, int]) -> str:
    return (
        f"{events['read']:,} read = {events['kept']:,} kept + {events['superseded']:,} superseded"
        f" + {events['exact_duplicates']:,} exact duplicates + {events['rejected']:,} rejected"
    )


def _seconds(record: dict[str, Any]) -> str:
    steps = ((step, record["seconds"][step]) for step in _STEPS if step in record["seconds"])
    megabytes = record["bytes"] / 1e6
    return ", ".join(
        f"{step} {seconds:.1f}"
        + (f" ({megabytes / seconds:,.0f} MB/s)" if step in ("read", "write") and seconds else "")
        for step, seconds in steps
    )


def _verdict(record: dict[str, Any]) -> str:
    if record["published"]:
        return f"Published as version {record['version']}."
    events = record["events"]
    if record["files"]["matched"] == record["files"]["skipped"]:
        return "Nothing new: every file was published before."
    if events["read"] == events["rejected"]:
        return "Nothing was published: the files have no valid event."
    if not events["kept"]:
        return "Nothing new to publish: no event is later than what the table has."
    return "Nothing was published."
