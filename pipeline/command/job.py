"""The command: options to a run, the run's report to the terminal, failures to one sentence."""

import argparse
import contextlib
import errno
import functools
import logging
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import NamedTuple

import apache_beam as beam
import msgspec
from apache_beam.options.pipeline_options import PipelineOptions, TestOptions

from pipeline import flow, processes, signals, storage
from pipeline.bookkeeping import journal, leases, ledger, places, recovery
from pipeline.bookkeeping.leases import DeadRun
from pipeline.command import console, explain, options, report, runners, stopped, watch
from pipeline.input import sources
from pipeline.run import Run, new_run_id
from pipeline.steps.publish import TooManyRejectedError
from pipeline.storage import FileInfo, stores
from pipeline.table.address import Table
from pipeline.table.datafiles import ConflictError

PUBLISHED, FAILED, REJECTED = console.DONE, console.FAILED, console.REJECTED

# How often a run starts again from the new table when another run has committed before it.
_ATTEMPTS = 3

# How long an engine may take to be told that its job is cancelled.
_CANCEL_SECONDS = 3.0

# Where SIGTERM goes to a whole group, as systemd does it, a worker may be hit, and end, before this
# process is. That must not look like a failure.
_GROUP_SECONDS = 0.2

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
        anything was published), 2 for a usage error, 3 if too many records were rejected, or all;
        129, 130 or 143 if a signal has stopped it.
    """
    parser = options.parser()
    runners.tell_beams_options(parser, arguments)
    own, rest = parser.parse_known_args(arguments)
    if not own.input or not own.output:
        parser.error("--input and --output are needed, e.g. --input 'in/*.jsonl' --output out/")
    if own.rebuild and own.watch is not None:
        parser.error("--rebuild makes the table afresh once, --watch never ends: choose one")
    beam_options = PipelineOptions(rest)
    if own.verbose:
        logging.getLogger().setLevel(logging.INFO)
    paths = [*own.input, own.output, own.temp or own.output]
    try:
        runners.check(beam_options, paths)
        runners.refuse_unknown(parser, beam_options, rest)
    except runners.RunnerError as error:
        parser.error(str(error))
    if missing := _first(explain.missing_extra, paths):
        parser.error(missing)
    stores.configure(beam_options)
    root = storage.absolute(own.output)
    if inside := sources.within_table(own.input, root):
        parser.error(sources.only_own(inside, root))
    job = _Job(own, beam_options, root, stores.delta_options(root, beam_options))
    # Where nothing else is given, or a folder in the table, payloads are staged in the table.
    temp = root if places.is_inside(job.temp, root) else job.temp
    problem = (
        explain.not_a_folder("--output", root)
        or explain.not_writable("--output", root)
        or explain.not_a_folder("--temp", temp)
        or explain.not_writable("--temp", temp)
        or (len(own.input) == 1 and explain.stream_input(own.input[0]))
    )
    if problem:
        console.say(f"eventsift: {problem}\n{recovery.outcome(None)}", error=True)
        return FAILED
    if own.watch is None:
        return job.run()
    inputs = [_absolute(pattern) for pattern in own.input]
    return watch.watch(inputs, root, own.watch, job.run, job.storage_options, job.temp)


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

    @property
    def temp(self) -> str:
        """The folder for what is staged."""
        return places.temp_folder(self.root, self.own.temp)

    def run(self, files: Sequence[FileInfo] | None = None) -> int:
        """Runs the pipeline, again if another run was faster; the exit code, see `main`.

        Args:
            files: What to read; if not given, all that the patterns match.
        """
        for attempt in range(_ATTEMPTS):
            run = self._new_run()
            interrupted = stopped.Stopped(
                run.table, run.id, run.staging, all_ended=self._all_local()
            )
            with signals.before_ending(functools.partial(stopped.take_over, interrupted)):
                try:
                    return self._attempt(run, files)
                except KeyboardInterrupt:  # where this is called from Python
                    self._failed(run, KeyboardInterrupt("interrupted"))
                    return 128 + signal.SIGINT
                except Exception as error:
                    if attempt == _ATTEMPTS - 1 or not _was(ConflictError, error):
                        code = REJECTED if _was(TooManyRejectedError, error) else FAILED
                        brief = files is not None and code == REJECTED
                        self._failed(run, error, brief=brief)
                        return code
                    console.say("eventsift: another run was faster; starting again", error=True)
        raise AssertionError("the last attempt returns")

    def _attempt(self, run: Run, files: Sequence[FileInfo] | None) -> int:
        """Runs the pipeline once and prints the report; the exit code."""
        identity = ""
        if storage.is_local(run.root):
            # A folder that is somebody else's gets no lease of ours.
            identity = recovery.secure(run.table, run.id)
        lease = leases.hold(run.root, run.id, run.staging, identity)
        with runners.quiet(self.own.verbose), lease:
            done = self._pipeline(run, files)
        if not done:
            console.say("The job's graph is built; it was not asked to run.")
            return PUBLISHED
        record = msgspec.json.decode(storage.read_bytes(journal.record_path(run.root, run.id)))
        for warning in report.warnings(record):
            console.say(f"eventsift: {warning}", error=True)
        console.say(report.line(record) if files else report.text(record))
        return REJECTED if report.all_rejected(record) else PUBLISHED

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
            with signals.before_ending(lambda _: _cancel(result)):
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
            table=Table(root, self.storage_options),
            temp=self.temp,
            rebuild=own.rebuild,
            max_partitions=own.max_partitions,
            max_event_bytes=own.max_event_mb << 20,
            target_file_bytes=own.target_file_mb << 20,
            keep_seconds=own.keep_history,
            dedup_days=own.dedup_days,
            max_rejected=own.max_rejected,
        )

    def _all_local(self) -> bool:
        """Whether all workers end with this process."""
        return runners.name(self.beam) == runners.LOCAL

    def _failed(self, run: Run, error: BaseException, *, brief: bool = False) -> None:
        """Says why a run failed and what has become of the table, and clears up after the run.

        Args:
            run: The run.
            error: Why.
            brief: Whether one line has to do; only where it says that nothing was published.
        """
        if _was(BrokenProcessPool, error):
            time.sleep(_GROUP_SECONDS)
        if self.own.verbose:
            logging.getLogger(__name__).exception("the run failed")
        reason = _reason(str(error) or type(error).__name__)
        if _was(sources.NoMatchError, error):
            hints = dict.fromkeys(map(explain.no_match, run.inputs))
            reason += f": {'; '.join(hints)}"
        console.say(f"eventsift: {reason}", error=True)
        version = recovery.abandon(
            run.table,
            DeadRun(run.id, run.staging),
            all_ended=self._all_local(),
        )
        if not brief or version is not None:
            console.say(recovery.outcome(version), error=True)


def _was(kind: type[Exception], error: BaseException) -> bool:
    """Whether an error is of a kind. Runners with workers hand on the text of an error only."""
    return isinstance(error, kind) or kind.__name__ in str(error)


def _first(check: Callable[[str], str | None], paths: Sequence[str]) -> str | None:
    """The first thing that a check finds wrong with some paths."""
    return next((found for found in map(check, paths) if found), None)


def _cancel(result: beam.runners.runner.PipelineResult) -> None:
    """Tells an engine to stop a job, and does not wait long for an answer."""

    def cancel() -> None:
        with contextlib.suppress(Exception):  # the local runner cannot; the engine may be away
            result.cancel()

    asking = threading.Thread(target=cancel, daemon=True)
    asking.start()
    asking.join(_CANCEL_SECONDS)


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
