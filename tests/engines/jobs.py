"""Running the job as its users do, and what came of it in a form that can be compared."""

import collections
import json
import os
import pathlib
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pipeline import storage
from pipeline.verify import check as verify
from tests.commands import ROOT, TIMEOUT_SECONDS

HERE = pathlib.Path(__file__).parent


class Published(NamedTuple):
    """A published run, and the table after it, without what may differ from runner to runner.

    Attributes:
        digest: Of the table's content.
        findings: What is wrong with the table.
        partitions: How many it has.
        layout: How many rows the files of each partition have.
        events: What became of the events read.
        rejected: Rejects by reason.
        dead_letters: File, offset and reason of each reject.
    """

    digest: str
    findings: list[str]
    partitions: int
    layout: dict[str, list[int]]
    events: dict[str, int]
    rejected: dict[str, int]
    dead_letters: list[tuple[str, int, str]]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a job whose blocks and buckets are small."""
    path = os.pathsep.join([str(HERE / "startup"), str(ROOT)])
    # Workers are started as "python".
    bins = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    return {**os.environ, "PYTHONPATH": path, "PATH": bins, **(extra or {})}


def run(
    inputs: Sequence[str | pathlib.Path],
    root: str | pathlib.Path,
    options: Sequence[str] = (),
    extra: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs the job on these inputs to its end."""
    return call(["--input", *map(str, inputs), "--output", str(root), *options], extra)


def call(
    arguments: Sequence[str], extra: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs ``python -m pipeline`` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments],
        cwd=ROOT,
        env=environment(extra),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )


def publish(
    inputs: Sequence[str | pathlib.Path],
    root: str | pathlib.Path,
    options: Sequence[str] = (),
    extra: Mapping[str, str] | None = None,
    storage_options: dict[str, str] | None = None,
) -> Published:
    """Runs the job, which must succeed without a word on standard error; with files of 1 MiB."""
    done = run(inputs, root, ["--target-file-mb=1", *options], extra)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return published(root, storage_options)


def records(root: str | pathlib.Path) -> list[dict[str, Any]]:
    """The records of the runs of a table, the first one first."""
    files = sorted(storage.list_files(storage.join(str(root), "_eventsift", "runs")))
    return [json.loads(storage.read_bytes(file.path)) for file in files]


def published(root: str | pathlib.Path, storage_options: dict[str, str] | None = None) -> Published:
    """The table's newest run, and the table."""
    record = records(root)[-1]
    # One block would make the work of every step one element, and prove nothing.
    assert record["counts"]["plan.blocks"] > 3
    verdict = verify.verify(str(root), storage_options)
    letters = storage.read_bytes(record["rejects"]).splitlines() if record["rejects"] else []
    found = [json.loads(letter) for letter in letters]
    layout = collections.defaultdict(list)
    for file in verify._log(str(root), storage_options)[1]:
        layout["/".join(map(str, file.values))].append(file.rows)
    return Published(
        verdict.digest,
        verdict.findings,
        verdict.partitions,
        {partition: sorted(rows) for partition, rows in sorted(layout.items())},
        record["events"],
        record["rejected"],
        sorted((letter["source"], letter["offset"], letter["reason"]) for letter in found),
    )


def commands(page: pathlib.Path) -> list[list[str]]:
    """The arguments of each ``python -m pipeline`` in a page's code."""
    text = page.read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.startswith("python -m pipeline ")]
    return [shlex.split(line)[3:] for line in lines]
