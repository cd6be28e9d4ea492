"""``python -m benchmarks fallbacks``: what input that is not clean JSON Lines costs eventsift."""

import itertools
import os
import pathlib
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks import contents, data, programs, tables
from benchmarks.measure import Usage
from generator.options import Options

CLEAN = "clean JSON Lines"

# Eight events are about 2 KB.
_EVENTS_PER_SMALL_FILE = 8
_FILES = 4
_MANY_TYPES = 720  # times 7 days are 5,040 destinations


class Result(NamedTuple):
    """One kind of input.

    Attributes:
        delivery: The files.
        usage: Of each round.
        files: Data files of the table.
    """

    delivery: data.Delivery
    usage: list[Usage]
    files: int


def kinds(events: int) -> dict[str, dict[str, Any]]:
    """Kinds of input by name, each with what it asks of the generator; the clean one comes first.

    In clean input all timestamps have the same form.
    """
    one_form: dict[str, Any] = {"spaced_timestamps": 1.0}
    return {
        CLEAN: one_form,
        "mixed timestamps": {},
        "1 % bad lines": one_form | {"broken": 0.01},
        "1 % with extra fields": one_form | {"extra": 0.01},
        "all with extra fields": one_form | {"extra": 1.0},
        "objects without newlines": one_form | {"framing": "concatenated"},
        "pretty-printed": one_form | {"framing": "pretty"},
        "one array a file": one_form | {"framing": "array"},
        "gzip": one_form | {"compression": "gzip"},
        "zstd": one_form | {"compression": "zstd"},
        "files of 2 KB": one_form | {"files": max(1, events // _EVENTS_PER_SMALL_FILE)},
        "5,040 destinations": one_form | {"types": _MANY_TYPES},
        "one event (start-up)": one_form | {"events": 1, "files": 1},
    }


def measure(
    events: int, rounds: int, work: pathlib.Path, only: Sequence[str] = ()
) -> dict[str, Result]:
    """Runs eventsift on each kind of input, in interleaved rounds.

    Args:
        events: How many each kind has.
        rounds: How often each is run.
        work: For input and output.
        only: Names of the kinds to run besides the clean one; default: all.

    Raises:
        measure.CommandError: A run failed.
    """
    deliveries = {}
    for name, wanted in kinds(events).items():
        if not only or name in only or name == CLEAN:
            folder = f"fallback-{events}-{''.join(filter(str.isalnum, name))}"
            options = Options(
                **{"events": events, "files": _FILES, "output": work / folder, **wanted}
            )
            deliveries[name] = data.made(options)
    results = {name: Result(delivery, [], 0) for name, delivery in deliveries.items()}
    # Tables stay until the end: for minutes after thousands of files are deleted, ext4 makes new
    # ones at a tenth of its speed (it avoids their inodes).
    with tempfile.TemporaryDirectory(dir=work, prefix="tables-") as folder:
        for number, (name, delivery) in itertools.product(range(rounds), deliveries.items()):
            output = pathlib.Path(folder) / f"{delivery.folder.name}-{number}"
            data.warm(delivery)
            os.sync()
            used = programs.run_eventsift(output, delivery.pattern)
            print(f"round {number + 1}: {name}: {used.wall_seconds:.2f} s", flush=True)
            results[name].usage.append(used)
            results[name] = results[name]._replace(files=len(contents.data_files(output)))
    return results


def markdown(results: Mapping[str, Result]) -> str:
    """The results as a table for people."""
    clean = results[CLEAN].usage
    rows = [
        [
            name,
            f"{result.delivery.summary.files:,}",
            f"{result.delivery.summary.size_bytes / 1e6:,.0f}",
            tables.seconds([used.wall_seconds for used in result.usage]),
            tables.ratios(
                [used.wall_seconds for used in result.usage], [used.wall_seconds for used in clean]
            ),
            tables.ratios(
                [used.cpu_seconds for used in result.usage], [used.cpu_seconds for used in clean]
            ),
            tables.mib([used.peak.private for used in result.usage]),
            f"{result.files:,}",
        ]
        for name, result in results.items()
    ]
    header = ["input", "files", "MB", "wall s", "to clean", "CPU to clean", "private MiB"]
    header += ["files written"]
    caption = (
        f"{results[CLEAN].delivery.summary.events:,} events each; {tables.rounds(len(clean))};"
        " ratios min / median / max of the rounds."
        f" {tables.machine()}; load average at the end {tables.load()}."
    )
    return f"{tables.markdown(header, rows)}\n\n{caption}\n"
