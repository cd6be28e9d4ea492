"""Running eventsift and its peers as users do: each a command of its own."""

import compileall
import importlib.util
import json
import os
import pathlib
import shutil
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

from benchmarks.measure import Usage, run

ROOT = pathlib.Path(__file__).resolve().parent.parent

EVENTSIFT = "eventsift"


class Program(NamedTuple):
    """A way to make the table.

    Attributes:
        name: For people.
        module: What is run, with the input's pattern and the output as arguments.
        package: Whose version matters.
        program: Another program that it needs, if any.
    """

    name: str
    module: str
    package: str
    program: str | None = None


PEERS = {
    "duckdb": Program("DuckDB COPY", "benchmarks.peers.with_duckdb", "duckdb"),
    "polars": Program("Polars", "benchmarks.peers.with_polars", "polars"),
    "spark": Program("Spark local[*]", "benchmarks.peers.with_spark", "pyspark", "java"),
    "beam": Program("stock Beam", "benchmarks.peers.with_beam", "apache-beam"),
}


def missing(peer: str) -> str | None:
    """What a peer needs and does not find here, or None."""
    _, _, package, program = PEERS[peer]
    if importlib.util.find_spec(package.replace("-", "_")) is None:
        return f"the package {package}"
    if program is not None and shutil.which(program) is None:
        return f"the program {program}"
    return None


def title(name: str) -> str:
    """A program's name and version, for people."""
    if name == EVENTSIFT:
        return "**eventsift**"
    return f"{PEERS[name].name} {version(PEERS[name].package)}"


def compile_modules() -> None:
    """Compiles the modules of the checkout, as pip does with those of a package: see README.md."""
    for folder in ("pipeline", "benchmarks"):
        compileall.compile_dir(ROOT / folder, quiet=1)


def run_eventsift(
    output: pathlib.Path | str,
    *patterns: str,
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    log: pathlib.Path | None = None,
) -> Usage:
    """Runs the job, with nothing but input and output unless said, in a fresh or existing table.

    Args:
        output: The table.
        patterns: The input.
        options: More options.
        environment: More variables of its environment.
        log: Where it writes what it says; by default beside a local table.

    Raises:
        measure.CommandError: It failed.
    """
    arguments = ["--input", *patterns, "--output", str(output), *options]
    return _run(
        "pipeline", *arguments, log=log or _log(pathlib.Path(output)), environment=environment
    )


def summary(output: pathlib.Path) -> dict[str, Any]:
    """What the job has recorded of the only run that a table has had."""
    (record,) = (output / "_eventsift" / "runs").glob("*.json")
    told: dict[str, Any] = json.loads(record.read_text())
    return told


def run_peer(peer: str, output: pathlib.Path, pattern: str) -> Usage:
    """Makes a fresh table with a peer.

    Raises:
        measure.CommandError: It failed.
    """
    return _run(PEERS[peer].module, pattern, str(output), log=_log(output))


def run_merge(source: pathlib.Path, table: pathlib.Path) -> Usage:
    """Merges a Parquet file into a Delta table with ``DeltaTable.merge``.

    Raises:
        measure.CommandError: It failed.
    """
    return _run("benchmarks.peers.with_delta_merge", str(source), str(table), log=_log(table))


def _log(output: pathlib.Path) -> pathlib.Path:
    return output.with_name(output.name + ".log")


def _run(
    module: str,
    *arguments: str,
    log: pathlib.Path,
    environment: Mapping[str, str] | None = None,
) -> Usage:
    # Beam starts its worker processes as "python".
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    command = [sys.executable, "-m", module, *arguments]
    return run(command, log, cwd=ROOT, env={**os.environ, "PATH": path, **(environment or {})})
