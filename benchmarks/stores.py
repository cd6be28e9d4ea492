"""``python -m benchmarks stores``: the job with all of it on S3, next to the local disk.

Input, staged files and table lie on a test server on the same machine. Its processor time is not
the job's, but the cores are. Rounds are interleaved; a last run goes through a proxy that counts
bytes and requests.
"""

import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from benchmarks import build, data, programs, tables
from benchmarks.measure import Usage
from tests.apparatus import stores, wire


class Results(NamedTuple):
    """What was measured.

    Attributes:
        delivery: What was published.
        local: A `Usage` for each round, with all of it on the local disk.
        remote: The same, with all of it on S3.
        moved: Bytes to and from the server in one run, with the heads of requests.
        requests: How many there were.
    """

    delivery: data.Delivery
    local: list[Usage]
    remote: list[Usage]
    moved: int
    requests: int


def measure(events: int, rounds: int, work: pathlib.Path) -> Results:
    """Makes the table on the local disk and on S3, `rounds` times.

    Raises:
        build.DisagreementError: The tables have not equally many rows.
        install.MissingError: The server is not to be had here.
        measure.CommandError: A run failed.
    """
    delivery = build.delivery(events, work)
    data.warm(delivery)
    local: list[Usage] = []
    remote: list[Usage] = []
    with _started(delivery, work / "s3") as (store, bucket):
        for number in range(rounds):
            shutil.rmtree(work / "table-local", ignore_errors=True)
            os.sync()  # what the one before has written is not this one's burden
            local.append(programs.run_eventsift(work / "table-local", delivery.pattern))
            remote.append(_run(store, bucket, store.variables))
            published = (work / "table-local", bucket / "table")
            rows = [programs.summary(table)["table"]["rows"] for table in published]
            if rows[0] != rows[1]:
                raise build.DisagreementError(f"the tables have not equally many rows: {rows}")
            print(
                f"round {number + 1}: local {local[-1].wall_seconds:.2f} s,"
                f" S3 {remote[-1].wall_seconds:.2f} s",
                flush=True,
            )
        with _counted(store) as (seen, variables):
            _run(store, bucket, variables)
            exchanges = seen.exchanges
    shutil.rmtree(work / "s3")
    shutil.rmtree(work / "table-local")
    moved = sum(exchange.up + exchange.down for exchange in exchanges)
    return Results(delivery, local, remote, moved, len(exchanges))


@contextlib.contextmanager
def _started(
    delivery: data.Delivery, folder: pathlib.Path
) -> Iterator[tuple[stores.Store, pathlib.Path]]:
    """A server that has the delivery, and the folder in which it keeps its objects."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with stores.s3(folder) as store:
        bucket = folder / "objects" / stores.BUCKET
        shutil.copytree(delivery.folder, bucket / "in")
        yield store, bucket


@contextlib.contextmanager
def _counted(store: stores.Store) -> Iterator[tuple[wire.Wire, Mapping[str, str]]]:
    """A proxy before the server, and the variables that lead to it."""
    address = store.variables["AWS_ENDPOINT_URL"]
    with wire.watching(int(address.rpartition(":")[2])) as seen:
        yield seen, {**store.variables, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{seen.port}"}


def _run(store: stores.Store, bucket: pathlib.Path, variables: Mapping[str, str]) -> Usage:
    """Makes a new table there."""
    for folder in ("table", "temp"):
        shutil.rmtree(bucket / folder, ignore_errors=True)
    os.sync()
    return programs.run_eventsift(
        f"{store.place}/table",
        f"{store.place}/in/*",
        options=["--temp", f"{store.place}/temp"],
        environment=variables,
        log=bucket.parent / "table-s3.log",
    )


def markdown(results: Results) -> str:
    """The results as a table for people."""
    delivery, local, remote, moved, requests = results
    rows = []
    for name, runs in (("local disk", local), ("S3", remote)):
        wall, cpu = [run.wall_seconds for run in runs], [run.cpu_seconds for run in runs]
        rows.append(
            [
                name,
                tables.seconds(wall),
                tables.ratios(wall, [run.wall_seconds for run in local]),
                tables.seconds(cpu),
                tables.ratios(cpu, [run.cpu_seconds for run in local]),
            ]
        )
    size = delivery.summary.size_bytes
    header = ["", "wall s", "to local", "CPU s", "to local"]
    caption = (
        f"{delivery.summary.events:,} events, {size / 1e6:,.0f} MB; {tables.rounds(len(local))};"
        f" times are medians, ratios min / median / max of the rounds. A run on S3 moves"
        f" {moved / 1e6:,.0f} MB, {moved / size:.2f} times the input, in {requests:,} requests."
        f" {tables.machine()}; load average at the end {tables.load()}."
    )
    return f"{tables.markdown(header, rows)}\n\n{caption}\n"
