"""``python -m benchmarks engines``: the job on Prism and on Flink next to the local runner.

Rounds are interleaved. *Start-up aside* is the time from planning to the commit, which the job
itself records: without the start of Python and of the engine, and the handing over of the graph.
Each engine has as many workers as there are cores.
"""

import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from benchmarks import build, data, programs, tables
from benchmarks.measure import Usage
from pipeline import processes
from tests.apparatus import install, job_servers, servers

LOCAL = "local"
NAMES = (LOCAL, "prism", "flink", "flink-kept")
"""The last one is Flink keeping its Python workers from stage to stage; see docs/flink.md."""


class Took(NamedTuple):
    """What one run took.

    Attributes:
        usage: Of the job's command; an engine's own processes are not in it.
        wall_seconds: Start-up aside.
        rows: Of the table.
    """

    usage: Usage
    wall_seconds: float
    rows: int


class Results(NamedTuple):
    """What was measured, by engine; a `Took` for each round. `hot`: see `measure`."""

    delivery: data.Delivery
    took: Mapping[str, Sequence[Took]]
    hot: bool = False


def measure(
    events: int, rounds: int, names: Sequence[str], work: pathlib.Path, *, hot: bool = False
) -> Results:
    """Makes the table with each engine, `rounds` times.

    Args:
        events: How many are delivered.
        rounds: How often.
        names: The engines next to the local runner.
        work: For input and output.
        hot: Whether all events are of one type and day.

    Raises:
        build.DisagreementError: The tables have not equally many rows.
        install.MissingError: An engine is not to be had here.
        measure.CommandError: A run failed.
    """
    delivery = build.delivery(events, work, one_partition=hot)
    data.warm(delivery)
    took: dict[str, list[Took]] = {name: [] for name in (LOCAL, *names)}
    with _started([*took], work / "engines") as options:
        for number in range(rounds):
            for name in took:
                took[name].append(_run(delivery, work / f"table-{name}", options[name]))
                print(
                    f"round {number + 1}: {name}: {took[name][-1].wall_seconds:.2f} s", flush=True
                )
    rows = {name: [run.rows for run in runs] for name, runs in took.items()}
    if len({count for counts in rows.values() for count in counts}) > 1:
        raise build.DisagreementError(f"the tables have not equally many rows: {rows}")
    return Results(delivery, took, hot)


@contextlib.contextmanager
def _started(names: Sequence[str], folder: pathlib.Path) -> Iterator[dict[str, list[str]]]:
    """Starts the engines; yields the options that lead to each."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    workers = processes.available()
    options: dict[str, list[str]] = {LOCAL: []}
    with contextlib.ExitStack() as stack:
        if "prism" in names:
            program = install.go_program(install.PRISM)
            options["prism"] = ["--runner=PrismRunner", f"--prism_location={program}"]
        if {"flink", "flink-kept"} & {*names}:
            server: servers.Server = stack.enter_context(job_servers.flink(folder))
            options["flink"] = [
                "--runner=PortableRunner",
                f"--job_endpoint={server.address}",
                "--environment_type=LOOPBACK",
                f"--parallelism={workers}",
            ]
            options["flink-kept"] = [*options["flink"], "--environment_cache_millis=60000"]
        yield options


def _run(delivery: data.Delivery, output: pathlib.Path, options: Sequence[str]) -> Took:
    shutil.rmtree(output, ignore_errors=True)
    os.sync()  # what the one before has written is not this one's burden
    usage = programs.run_eventsift(output, delivery.pattern, options=options)
    told = programs.summary(output)
    shutil.rmtree(output)
    return Took(usage, told["wall_seconds"], told["table"]["rows"])


def markdown(results: Results) -> str:
    """The results as a table for people."""
    local = results.took[LOCAL]
    rows = []
    for name, took in results.took.items():
        inner, outer = [run.wall_seconds for run in took], [run.usage.wall_seconds for run in took]
        rows.append(
            [
                name,
                tables.seconds(inner),
                tables.ratios(inner, [run.wall_seconds for run in local]),
                tables.seconds(outer),
                tables.ratios(outer, [run.usage.wall_seconds for run in local]),
            ]
        )
    header = ["", "s, start-up aside", "to local", "s in all", "to local"]
    summary = results.delivery.summary
    caption = (
        f"{summary.events:,} events{', all of one type and day' if results.hot else ''},"
        f" {summary.size_bytes / 1e6:,.0f} MB;"
        f" {tables.rounds(len(local))}; times are medians, ratios min / median / max of the rounds;"
        f" {local[0].rows:,} rows in all tables. {tables.machine()};"
        f" load average at the end {tables.load()}."
    )
    return f"{tables.markdown(header, rows)}\n\n{caption}\n"
