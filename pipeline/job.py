"""The command: options to a run, the run's report to the terminal, failures to one sentence."""

import argparse
import datetime
import logging
import os
import re
import sys
import uuid
from collections.abc import Sequence

import apache_beam as beam
import msgspec
from apache_beam.options.pipeline_options import PipelineOptions, TestOptions

from pipeline import alive, cores, flow, options, report, runners, storage, stores, table
from pipeline.plan import Run
from pipeline.publish import RUNS

PUBLISHED, FAILED = 0, 1

# How often a run starts again from the new table when another run has committed before it.
_ATTEMPTS = 3

# What Beam adds to an exception's text on its way from a worker: a traceback before it, and the
# step after it.
_STEP = re.compile(r" \[while running '[^']*'\]")
_OURS = re.compile(r"^(?:pipeline|builtins)\.[\w.]*?(\w+): ")
# How gRPC words what a job server has answered.
_GRPC_DETAILS = re.compile(r'^\s*details = "(.+)"$', re.MULTILINE)
_ERROR_LINE = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception|Interrupt|Pool): ")


def main(arguments: Sequence[str]) -> int:
    """Runs the job.

    Returns:
        0 if the run was published or there was nothing new, 1 if it failed and nothing was
        published, 2 for a usage error.
    """
    parser = options.parser()
    own, rest = parser.parse_known_args(arguments)
    if not own.input or not own.output:
        parser.error("--input and --output are needed, e.g. --input 'in/*.jsonl' --output out/")
    beam_options = PipelineOptions(rest)
    if own.verbose:
        logging.getLogger().setLevel(logging.INFO)
    try:
        runners.check(beam_options, [*own.input, own.output, own.temp or own.output])
        if unknown := runners.unknown_options(beam_options, rest):
            parser.error(f"unknown option {unknown[0]}; see --help")
    except runners.RunnerError as error:
        parser.error(str(error))
    stores.configure(beam_options)
    idle = cores.available() if runners.leaves_cores(beam_options) else 0
    workers = idle if own.workers is None else own.workers
    root = storage.absolute(own.output)
    for attempt in range(_ATTEMPTS):
        run = _run(own, root, stores.delta_options(root, beam_options))
        try:
            with runners.quiet(own.verbose), alive.hold(root, run.id, run.staging):
                pipeline = beam.Pipeline(runner=runners.name(beam_options), options=beam_options)
                flow.build(pipeline, run, workers)
                result = pipeline.run()
                result.wait_until_finish()
            if not getattr(result, "has_job", True) or beam_options.view_as(TestOptions).dry_run:
                print("The job's graph is built; it was not asked to run.")
                return PUBLISHED
            record = storage.read_bytes(storage.join(root, RUNS, f"{run.id}.json"))
            print(report.text(msgspec.json.decode(record)))
            return PUBLISHED
        except KeyboardInterrupt:
            return _failed("interrupted", own.verbose)
        except Exception as error:
            if attempt == _ATTEMPTS - 1 or table.ConflictError.__name__ not in str(error):
                return _failed(str(error) or type(error).__name__, own.verbose)
            print("eventsift: another run was faster; starting again", file=sys.stderr)
    raise AssertionError("the last attempt returns")


def _run(own: argparse.Namespace, root: str, storage_options: dict[str, str]) -> Run:
    """A new run with these options."""
    return Run(
        id=_run_id(),
        inputs=tuple(map(_absolute, own.input)),
        root=root,
        temp=storage.absolute(own.temp or storage.join(root, "_eventsift", "temp")),
        rebuild=own.rebuild,
        max_partitions=own.max_partitions,
        max_event_bytes=own.max_event_mb << 20,
        target_file_bytes=own.target_file_mb << 20,
        storage_options=storage_options,
    )


def _run_id() -> str:
    """When the run began and something random: unique, and sorted by time."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return f"{now:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"


def _absolute(pattern: str) -> str:
    """A pattern that means the same in every process."""
    if storage.is_local(pattern) and not pattern.startswith("file://"):
        return os.path.abspath(pattern) if not pattern.endswith("/") else pattern
    return pattern


def _failed(error: str, verbose: bool) -> int:
    """Prints why a run failed: the last line of the error's text that names an exception."""
    if verbose:
        logging.getLogger(__name__).exception("the run failed")
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    reasons = [line for line in lines if _ERROR_LINE.match(line)] or lines[-1:]
    reason = _OURS.sub("", _STEP.sub("", reasons[-1]))
    if details := _GRPC_DETAILS.search(error):
        reason = f"the engine refuses the job: {details[1]}"
    print(f"eventsift: {reason}", file=sys.stderr)
    print("Nothing was published; the table is as it was.", file=sys.stderr)
    return FAILED
