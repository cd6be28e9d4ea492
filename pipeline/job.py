"""The command: options to a run, the run's report to the terminal, failures to one sentence."""

import argparse
import errno
import logging
import os
import re
import sys
from collections.abc import Sequence
from typing import NamedTuple

import apache_beam as beam
import msgspec
from apache_beam.options.pipeline_options import PipelineOptions, TestOptions

from pipeline import (
    alive,
    flow,
    journal,
    ledger,
    leftovers,
    options,
    places,
    processes,
    report,
    runners,
    storage,
    stores,
    watch,
)
from pipeline.alive import Dead
from pipeline.datafiles import ConflictError
from pipeline.plan import Run, new_run_id
from pipeline.storage import FileInfo

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
        0 if the run was published or there was nothing new, 1 if it failed (it says whether
        anything was published), 2 for a usage error.
    """
    parser = options.parser()
    own, rest = parser.parse_known_args(arguments)
    if not own.input or not own.output:
        parser.error("--input and --output are needed, e.g. --input 'in/*.jsonl' --output out/")
    if own.rebuild and own.watch is not None:
        parser.error("--rebuild makes the table afresh once, --watch never ends: choose one")
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
    root = storage.absolute(own.output)
    job = _Job(own, beam_options, root, stores.delta_options(root, beam_options))
    if own.watch is None:
        return job.run()
    inputs = [_absolute(pattern) for pattern in own.input]
    return watch.watch(inputs, root, own.watch, job.run, job.storage_options)


class _Job(NamedTuple):
    """What was asked for on the command line.

    Attributes:
        own: The job's own options.
        beam: All of Beam's options.
        root: The table.
        storage_options: What deltalake needs to reach the table's store.
    """

    own: argparse.Namespace
    beam: PipelineOptions
    root: str
    storage_options: dict[str, str]

    def run(self, files: Sequence[FileInfo] | None = None) -> int:
        """Runs the pipeline, again if another run was faster; the exit code, see `main`.

        Args:
            files: What to read; if not given, all that the patterns match.
        """
        for attempt in range(_ATTEMPTS):
            run = self._new_run()
            try:
                identity = ""
                if storage.is_local(run.root):
                    # A folder that is somebody else's gets no mark of ours.
                    identity = leftovers.secure(run.root, run.id)
                mark = alive.hold(run.root, run.id, run.staging, identity)
                with runners.quiet(self.own.verbose), mark:
                    done = self._pipeline(run, files)
                if not done:
                    print("The job's graph is built; it was not asked to run.")
                    return PUBLISHED
                record = msgspec.json.decode(
                    storage.read_bytes(journal.record_path(run.root, run.id))
                )
                print(report.line(record) if files else report.text(record), flush=True)
                return PUBLISHED
            except KeyboardInterrupt:
                return self._failed(run, "interrupted")
            except Exception as error:
                if attempt == _ATTEMPTS - 1 or not _was_overtaken(error):
                    return self._failed(run, str(error) or type(error).__name__)
                print("eventsift: another run was faster; starting again", file=sys.stderr)
        raise AssertionError("the last attempt returns")

    def _pipeline(self, run: Run, files: Sequence[FileInfo] | None) -> bool:
        """Whether the pipeline has run, and was not only built."""
        if files is not None:
            run = run._replace(listing=storage.join(run.staging, "listing.arrow.zst"))
            ledger.write(run.listing, files)
        idle = processes.available() if runners.leaves_cores(self.beam) else 0
        workers = idle if self.own.workers is None else self.own.workers
        pipeline = beam.Pipeline(runner=runners.name(self.beam), options=self.beam)
        flow.build(pipeline, run, workers)
        try:
            result = pipeline.run()
            result.wait_until_finish()
        finally:
            processes.stop()
        return getattr(result, "has_job", True) and not self.beam.view_as(TestOptions).dry_run

    def _new_run(self) -> Run:
        """A new run with these options."""
        own, root = self.own, self.root
        return Run(
            id=new_run_id(),
            inputs=tuple(map(_absolute, own.input)),
            root=root,
            temp=places.temp_folder(root, own.temp),
            rebuild=own.rebuild,
            max_partitions=own.max_partitions,
            max_event_bytes=own.max_event_mb << 20,
            target_file_bytes=own.target_file_mb << 20,
            storage_options=self.storage_options,
            keep_seconds=own.keep_history,
            dedup_days=own.dedup_days,
        )

    def _failed(self, run: Run, error: str) -> int:
        """Says why a run failed and what has become of the table, and clears up after the run."""
        if self.own.verbose:
            logging.getLogger(__name__).exception("the run failed")
        print(f"eventsift: {_reason(error)}", file=sys.stderr)
        version = leftovers.abandon(
            run.root,
            Dead(run.id, run.staging),
            run.storage_options,
            all_ended=runners.name(self.beam) == runners.LOCAL,
        )
        print(leftovers.outcome(version), file=sys.stderr)
        return FAILED


def _was_overtaken(error: Exception) -> bool:
    """Whether another run was faster. Runners with workers hand on the text of an error only."""
    return isinstance(error, ConflictError) or ConflictError.__name__ in str(error)


def _absolute(pattern: str) -> str:
    """A pattern that means the same in every process."""
    if storage.is_local(pattern) and not pattern.startswith("file://"):
        return os.path.abspath(pattern) if not pattern.endswith("/") else pattern
    return pattern


def _reason(error: str) -> str:
    """The last line of an error's text that names an exception, and the way out if one is known."""
    lines = [line.strip() for line in _STEP.sub("", error).splitlines() if line.strip()]
    reasons = [line for line in lines if _ERROR_LINE.match(line)] or lines[-1:]
    if details := _GRPC_DETAILS.search(error):
        return f"the engine refuses the job: {details[1]}"
    reason = _OURS.sub("", reasons[-1])
    full = any(os.strerror(number) in reason for number in (errno.ENOSPC, errno.EDQUOT))
    return f"{reason}; free some, or stage elsewhere with --temp" if full else reason
