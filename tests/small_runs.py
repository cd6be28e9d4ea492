"""Small runs of the real job in this process, for tests of what people see of runs and tables."""

import json
from pathlib import Path

from pipeline.bookkeeping import summary
from pipeline.bookkeeping.summary import RunSummary
from pipeline.command import console, job


def line(
    event_id: str,
    timestamp: str = "2021-01-08T10:00:00Z",
    event_type: str = "created",
    domain: str = "account",
    data: object = 1,
) -> str:
    """An event as it is delivered."""
    fields = {
        "event_id": event_id,
        "timestamp": timestamp,
        "domain": domain,
        "event_type": event_type,
        "data": data,
    }
    return json.dumps(fields)


def write(path: Path, *lines: str) -> Path:
    """Writes a file of lines, and gives its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{one}\n" for one in lines))
    return path


def run(source: Path, output: Path, *options: str, code: int = console.DONE) -> RunSummary:
    """Runs the job, which must end with `code`; gives the newest summary there is."""
    arguments = ["--input", str(source), "--output", str(output), "--workers", "1", *options]
    assert job.main(arguments) == code
    return newest(output)


def newest(output: Path) -> RunSummary:
    """The summary that was stored last."""
    paths = (output / "_eventsift" / "runs").glob("*.json")
    return summary.decode(max(paths, key=lambda path: path.stat().st_mtime_ns).read_bytes())
