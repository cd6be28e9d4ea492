"""The job: from the options to a run, and from its summary to the terminal."""

import argparse
import contextlib
import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, TestOptions
from apache_beam.runners.runner import PipelineResult

from pipeline import flow, notices, processes, signals, storage
from pipeline.bookkeeping import dead_letters, journal, listings, places, recovery, scratch, summary
from pipeline.command import (
    attempts,
    beam_options,
    console,
    explain,
    options,
    page,
    reasons,
    report,
    report_file,
    runner_checks,
    runners,
    watch,
)
from pipeline.errors import EventsiftError
from pipeline.graph import answers, cores, sampling
from pipeline.input import contracts, sources
from pipeline.run import Run
from pipeline.steps.tally import Tally
from pipeline.storage import FileInfo, stores
from pipeline.table.address import Table

if TYPE_CHECKING:
    from pipeline.command.run_progress import RunProgress

# How long an engine may take to answer that its job is cancelled.
_CANCEL_SECONDS = 3.0


class UnusableError(EventsiftError):
    """A path on the command line cannot be used."""


def main(arguments: Sequence[str], run_id: str = "") -> int:
    """Runs the job.

    Args:
        arguments: The command's arguments.
        run_id: What the run is called, if it was named already.

    Returns:
        0 if the run was published or there was nothing new, 1 if it failed (it says whether
        anything was published), 2 for a usage error, 3 if too many records were rejected, or all;
        129, 130 or 143 if a signal has stopped it.
    """
    try:
        job = asked(options.parser(), arguments)
    except UnusableError as error:
        console.say(f"eventsift: {error}\n{recovery.outcome(None)}", error=True)
        return console.FAILED
    if job.own.watch is None:
        return job.run(run_id=run_id)
    inputs = [_absolute(pattern) for pattern in job.own.input]
    return watch.watch(inputs, job.table, job.own.watch, job.run, job.temp)


def asked(parser: console.Parser, arguments: Sequence[str]) -> "Job":
    """Returns the job that a command line asks for. Nothing was written, or read of the input.

    Args:
        parser: The parser of the job's own options, which ends the program if they are wrong.
        arguments: The command's arguments.

    Raises:
        UnusableError: A path on the command line cannot be used.
    """
    beam_options.tell_beams_options(parser, arguments)
    own, rest = parser.parse_known_args(arguments)
    if not own.input or not own.output:
        parser.error("--input and --output are needed, e.g. --input 'in/*.jsonl' --output out/")
    if own.rebuild and own.watch is not None:
        parser.error("--rebuild replaces the table once, --watch never ends: choose one")
    if own.report_json == report_file.STDOUT and own.watch is not None:
        parser.error("--watch speaks on standard output: give --report-json a file")
    if own.contract_mode and not own.contract:
        parser.error("--contract-mode says what --contract is for: give that, too")
    engine = PipelineOptions(rest)
    if own.verbose:
        logging.getLogger().setLevel(logging.INFO)
    paths = [*own.input, own.output, own.temp or own.output]
    try:
        runner_checks.check(engine, paths)
        beam_options.refuse_unknown(parser, engine, rest)
    except runner_checks.RunnerError as error:
        parser.error(str(error))
    stores.configure(engine)
    if own.contract:
        paths.append(own.contract)
    missing = _first(explain.missing_extra, paths)
    if missing or (own.contract and (missing := explain.missing_contracts())):
        parser.error(missing)
    root = storage.absolute(own.output)
    if inside := sources.within_table(own.input, root):
        parser.error(sources.only_own(inside, root))
    contract = _contract(own)
    job = Job(own, engine, Table(root, stores.delta_options(root, engine)), contract)
    # Where nothing else is given, or a folder in the table, payloads are staged in the table.
    temp = root if places.is_inside(job.temp, root) else job.temp
    problem = (
        explain.unusable_folder("--output", root)
        or explain.unusable_folder("--temp", temp)
        or (own.report_json and report_file.unusable(own.report_json))
        or (len(own.input) == 1 and explain.stream_input(own.input[0]))
    )
    if problem:
        raise UnusableError(problem)
    return job


class Job(NamedTuple):
    """What was asked for on the command line.

    Attributes:
        own: Our own options.
        beam: The options of Beam and its runner.
        table: The table.
        contract: What the data of events has to fulfil; None if nothing is asked.
    """

    own: argparse.Namespace
    beam: PipelineOptions
    table: Table
    contract: contracts.Contract | None = None

    @property
    def temp(self) -> str:
        """Returns the folder for what is staged."""
        return places.temp_folder(self.table.root, self.own.temp)

    @property
    def workers(self) -> int:
        """Returns how many cores each step uses by itself."""
        idle = processes.available() if runners.leaves_cores(self.beam) else 0
        return idle if self.own.workers is None else int(self.own.workers)

    def run(self, files: Sequence[FileInfo] | None = None, run_id: str = "") -> int:
        """Runs the pipeline, again if another run was faster.

        Args:
            files: What to read; if not given, all that the patterns match.
            run_id: What the run is called, if it was named already.

        Returns:
            The exit code, see `main`.
        """
        settings = attempts.Settings(
            self.table,
            self.temp,
            all_ended=runners.name(self.beam) == runners.LOCAL,
            verbose=self.own.verbose,
            hints=self.hints,
            failed=self._report_failure,
            run_id=run_id,
        )
        return attempts.repeat(
            lambda run_id: self._attempt(self.as_run(run_id), files),
            settings,
            brief=files is not None,
        )

    def _attempt(self, run: Run, files: Sequence[FileInfo] | None) -> int:
        """Runs the pipeline once and prints the report; returns the exit code."""
        with runners.quiet(self.own.verbose), answers.remembered(), sampling.often():
            done = self._pipeline(run, files)
        if not done:
            console.say("The job's graph is built; it was not asked to run.")
            return console.DONE
        path = journal.summary_path(run.root, run.id)
        found = summary.decode(storage.read_bytes(path))
        for warning in report.warnings(found):
            console.say(f"eventsift: {warning}", error=True)
        if self.own.report_json:
            report_file.write(self.own.report_json, found)
        if files:
            console.say(report.line(found))
        elif self.own.report_json != report_file.STDOUT:
            letters = dead_letters.first(found.rejects, found.rejected) if found.rejects else {}
            console.say(report.text(found, letters))
        if found.files.read and not self.own.no_page:
            path = page.after_run(run.table)
            if path and not files and self.own.report_json != report_file.STDOUT:
                console.say(f"As a page: {path}")
        return console.REJECTED if found.all_rejected else console.DONE

    def _report_failure(self, run_id: str, error: str, version: int | None, code: int) -> None:
        """Writes the report of a run that has failed, where one is wanted."""
        if self.own.report_json:
            published = version is not None
            failure = report_file.Failure(
                run_id, self.table.root, version, published, error, exit_code=code
            )
            report_file.write(self.own.report_json, failure)

    def _pipeline(self, run: Run, files: Sequence[FileInfo] | None) -> bool:
        """Runs the pipeline; tells whether it has run, and was not only built."""
        if files is not None:
            run = run._replace(listing=storage.join(run.staging, "listing.arrow.zst"))
            listings.write(run.listing, files)
        pipeline = beam.Pipeline(runner=runners.name(self.beam), options=self.beam)
        heard: list[tuple[float, Tally]] = []
        submitted: list[PipelineResult] = []
        with contextlib.ExitStack() as stack:
            # Elsewhere versions are shuffled: workers are other processes, or other machines.
            in_one_process = self.workers and runners.leaves_cores(self.beam)
            keys = stack.enter_context(scratch.folder(run.staging)) if in_one_process else ""
            flow.build(pipeline, run, self.workers, keys)
            if not self.own.quiet:
                listener = cores.heard_by(lambda tally: heard.append((time.monotonic(), tally)))
                stack.enter_context(listener)
                stack.enter_context(self._telling(run.id, heard, submitted))
            try:
                result = pipeline.run()
                submitted.append(result)
                with signals.before_ending(lambda _: _cancel(result)):
                    result.wait_until_finish()
            finally:
                processes.stop()
        return getattr(result, "has_job", True) and not self.beam.view_as(TestOptions).dry_run

    def _telling(
        self,
        run_id: str,
        heard: Sequence[tuple[float, Tally]],
        submitted: Sequence[PipelineResult],
    ) -> contextlib.AbstractContextManager[None]:
        """Tells on stderr how a run goes on.

        Args:
            run_id: The run.
            heard: The tallies of its calls, as they end.
            submitted: Gets the job of an engine.
        """
        began = time.monotonic()
        made: list[RunProgress] = []

        def look() -> notices.Now:
            from pipeline.command.run_progress import RunProgress  # short runs never need it

            if not made:
                made.append(RunProgress(run_id, heard, submitted, began))
            return made[0].look()

        # Beam's log and a live line would be in each other's way.
        live = not self.own.verbose
        return notices.telling(f"run {run_id}", look, stderr=signals.stderr_fd(), live=live)

    def as_run(self, run_id: str) -> Run:
        """Returns a run with these options."""
        own = self.own
        return Run(
            id=run_id,
            inputs=tuple(map(_absolute, own.input)),
            table=self.table,
            temp=self.temp,
            rebuild=own.rebuild,
            max_partitions=own.max_partitions,
            max_event_bytes=own.max_event_mb << 20,
            target_file_bytes=own.target_file_mb << 20,
            keep_seconds=own.keep_history,
            dedup_days=own.dedup_days,
            max_rejected=own.max_rejected,
            fields=own.fields,
            provenance=own.provenance,
            contract=self.contract,
        )

    def hints(self, error: BaseException) -> str:
        """Returns the way out of an error, as the end of a sentence, if one is known."""
        if reasons.is_full(error):
            return f"{explain.no_room(self.table.root, self.temp)}, or stage elsewhere with --temp"
        if os.strerror(errno.ENOENT) in str(error):
            return "; it was removed while the run needed it: run again"
        if not reasons.is_a(sources.NoMatchError, error):
            return ""
        hints = dict.fromkeys(explain.no_match(_absolute(pattern)) for pattern in self.own.input)
        return f": {'; '.join(hints)}"


def _contract(own: argparse.Namespace) -> contracts.Contract | None:
    """Reads the contracts that are asked for.

    Raises:
        UnusableError: They cannot be used.
    """
    if not own.contract:
        return None
    try:
        return contracts.read(own.contract, own.contract_mode or contracts.WARN)
    except (contracts.ContractError, OSError) as error:
        raise UnusableError(str(error)) from error


def _first(check: Callable[[str], str | None], paths: Sequence[str]) -> str | None:
    """Returns the first thing that a check finds wrong with some paths."""
    return next((found for found in map(check, paths) if found), None)


def _cancel(result: PipelineResult) -> None:
    """Asks an engine to stop a job, and does not wait long for the answer."""

    def cancel() -> None:
        with contextlib.suppress(Exception):  # the local runner cannot; the engine may be away
            result.cancel()

    asking = threading.Thread(target=cancel, daemon=True)
    asking.start()
    asking.join(_CANCEL_SECONDS)


def _absolute(pattern: str) -> str:
    """Returns a pattern that means the same in every process."""
    if storage.is_local(pattern) and not pattern.startswith("file://"):
        return os.path.abspath(pattern) if not pattern.endswith("/") else pattern
    return pattern
