"""Runners: which one is meant, and whether its options make sense, said before anything starts.

Beam would say it, too: after a minute of waiting, in a traceback, or only in the log of a worker.
"""

import argparse
import contextlib
import io
import logging
import os
import shutil
import socket
from collections.abc import Callable, Iterator, Sequence

from apache_beam.options.pipeline_options import (
    DebugOptions,
    DirectOptions,
    GoogleCloudOptions,
    PipelineOptions,
    PortableOptions,
    PrismRunnerOptions,
    SetupOptions,
    StandardOptions,
    WorkerOptions,
)

from pipeline import notices, signals, storage
from pipeline.command.console import Parser, meant
from pipeline.command.options import add_arguments
from pipeline.errors import EventsiftError

LOCAL = "FnApiRunner"
PRISM = "PrismRunner"

# Those that the README tells how to use; Beam has a few more.
_RUNNERS = (
    "DirectRunner",
    PRISM,
    "PortableRunner",
    "FlinkRunner",
    "SparkRunner",
    "DataflowRunner",
)

# Beam's experiment that makes LOOPBACK start processes, instead of threads of this one.
_PROCESSES = "use_loopback_process_worker"
# A job server that is there answers at once.
_CONNECT_SECONDS = 3.0
_ENVIRONMENTS = ("LOOPBACK", "EXTERNAL", "DOCKER", "PROCESS")
_WORKERS = (
    "give --environment_type=LOOPBACK if the engine is on this machine, or"
    " --environment_type=EXTERNAL --environment_config=HOST:PORT for a pool of Python workers"
)


class EventsiftOptions(PipelineOptions):
    """What `python -m pipeline` takes besides Beam's options."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        add_arguments(parser)


class RunnerError(EventsiftError):
    """The runner's options are wrong or incomplete; nothing was started."""


def name(options: PipelineOptions) -> str:
    """The runner's name. `DirectRunner`, the name people know, is the local one.

    Beam's own DirectRunner is a switch that may fetch another runner and run a pipeline twice.
    """
    given = options.view_as(StandardOptions).runner or LOCAL
    return LOCAL if given == "DirectRunner" else str(given)


def leaves_cores(options: PipelineOptions) -> bool:
    """Whether the Python workers are this process, so that the steps may use all cores themselves.

    Threads of one process, which is what an engine gets of it, would share one interpreter's lock.
    """
    mode = options.view_as(DirectOptions).direct_running_mode
    if name(options) == LOCAL:
        return mode in (None, "in_memory")
    in_processes = options.view_as(DebugOptions).lookup_experiment(_PROCESSES)
    kind = options.view_as(PortableOptions).environment_type
    return not in_processes and (kind == "LOOPBACK" or (name(options) == PRISM and kind is None))


@contextlib.contextmanager
def quiet(verbose: bool) -> Iterator[None]:
    """Keeps Beam's workers from printing within the ``with`` block, unless `verbose`.

    They log, and they print each failure's traceback, in this process and in those it starts. What
    has failed is raised, too.
    """
    if verbose:
        yield
        return
    with notices.held(), _silence():
        yield


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    levels = {handler: handler.level for handler in logging.getLogger().handlers}
    for handler in levels:
        handler.setLevel(logging.CRITICAL)
    # Beam's local workers log whatever they are told, so they inherit a closed mouth.
    stderr = os.dup(2)
    try:
        with signals.speaking_through(stderr), contextlib.redirect_stderr(io.StringIO()):
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(stderr, 2)
    finally:
        os.close(stderr)
        for handler, level in levels.items():
            handler.setLevel(level)


def check(options: PipelineOptions, paths: Sequence[str]) -> None:
    """Looks for what Beam would find out late.

    Args:
        options: The pipeline's.
        paths: The job's inputs, output and temp.

    Raises:
        RunnerError: Something is missing or wrong; the message says what to set.
    """
    checks: dict[str, Callable[[PipelineOptions, Sequence[str]], None]] = {
        PRISM: _check_prism,
        "PortableRunner": _check_portable,
        "FlinkRunner": _check_environment,
        "SparkRunner": _check_environment,
        "DataflowRunner": _check_dataflow,
    }
    _check_name(name(options))
    if found := checks.get(name(options)):
        found(options, paths)


def _check_name(runner: str) -> None:
    known = {*_RUNNERS, LOCAL, *StandardOptions.KNOWN_RUNNER_NAMES}
    spelt = {name.lower() for name in known}
    # As Beam takes them: in any case, without "Runner" at the end, or a class by its full name.
    if "." in runner or {runner.lower(), f"{runner.lower()}runner"} & spelt:
        return
    way_out = meant(runner, sorted(known)) or f"give one of {', '.join(_RUNNERS)}"
    raise RunnerError(f"--runner={runner}: there is no such runner; {way_out}")


def beam_parser() -> argparse.ArgumentParser:
    """Returns a parser of all options that the installed Beam knows."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for kind in PipelineOptions.__subclasses__():
        if kind is not EventsiftOptions:
            kind._add_argparse_args(parser)  # type: ignore[arg-type]
    return parser


def unknown_options(options: PipelineOptions, arguments: Sequence[str]) -> list[str]:
    """Those of Beam's arguments that neither the installed Beam nor the job server knows.

    Dataflow's own launcher adds arguments as it sees fit, so there none are unknown.
    """
    if name(options) == "DataflowRunner":
        return []
    unknown = beam_parser().parse_known_args(list(arguments))[1]
    endpoint = options.view_as(PortableOptions).job_endpoint
    if not endpoint or not unknown:
        return unknown
    described = _described(endpoint)
    return [
        text
        for text in unknown
        if text.startswith("--") and text[2:].partition("=")[0] not in described
    ]


def refuse_unknown(parser: Parser, options: PipelineOptions, arguments: Sequence[str]) -> None:
    """Ends the program with a usage error if there is an argument that nobody knows.

    Args:
        parser: The command's own.
        options: The pipeline's.
        arguments: What the command's own parser has left over.
    """
    for text in unknown_options(options, arguments):
        name = text.partition("=")[0]
        if not name.startswith("-"):
            parser.error(f"{text!r} belongs to no option; see --help")
        parser.error(f"unknown option {name}; {parser.nearest(name)}")


def tell_beams_options(parser: Parser, arguments: Sequence[str]) -> None:
    """Lets a command's parser know Beam's options; not where an engine may have others."""
    given = " ".join(arguments)
    if "job_endpoint" not in given and "dataflow" not in given.lower():
        parser.more_options = lambda: beam_parser()._option_string_actions


def _described(endpoint: str) -> set[str]:
    """The names of the options that a job server knows."""
    import grpc  # type: ignore[import-untyped]
    from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

    with grpc.insecure_channel(endpoint) as channel:
        stub = beam_job_api_pb2_grpc.JobServiceStub(channel)
        answer = stub.DescribePipelineOptions(
            beam_job_api_pb2.DescribePipelineOptionsRequest(), timeout=60
        )
    return {option.name for option in answer.options}


def _check_prism(options: PipelineOptions, paths: Sequence[str]) -> None:
    location = options.view_as(PrismRunnerOptions).prism_location
    if location and "://" not in location and not os.path.isfile(location):
        raise RunnerError(
            f"--prism_location={location}: there is no such file; build Prism with 'go install"
            " github.com/apache/beam/sdks/v2/go/cmd/prism@v2.77.0' and give its path, or leave the"
            " option out to have Beam download it"
        )


def _check_portable(options: PipelineOptions, paths: Sequence[str]) -> None:
    endpoint = options.view_as(PortableOptions).job_endpoint
    if not endpoint:
        raise RunnerError(
            "--runner=PortableRunner needs to know the engine's job server:"
            " give --job_endpoint=HOST:PORT, e.g. --job_endpoint=localhost:8099"
        )
    host, _, port = endpoint.rpartition(":")
    if not host or not port.isdecimal():
        raise RunnerError(f"--job_endpoint={endpoint}: must be HOST:PORT, e.g. localhost:8099")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise RunnerError(
            f"--job_endpoint={endpoint}: no job server answers there ({error}); start the engine's"
            " job server, or give the address it listens on"
        ) from error
    _check_environment(options, paths)


def _check_environment(options: PipelineOptions, paths: Sequence[str]) -> None:
    portable = options.view_as(PortableOptions)
    kind = portable.environment_type
    config = portable.environment_config or portable.environment_options
    if kind is not None and kind.partition(":")[0] not in (*_ENVIRONMENTS, "beam"):
        raise RunnerError(
            f"--environment_type={kind}: must be one of {', '.join(_ENVIRONMENTS)}; {_WORKERS}"
        )
    if kind == "EXTERNAL" and not config:
        raise RunnerError(
            "--environment_type=EXTERNAL needs the address of the pool of Python workers:"
            " give --environment_config=HOST:PORT"
        )
    if kind in (None, "DOCKER") and not config and shutil.which("docker") is None:
        raise RunnerError(
            "without --environment_type the engine starts its Python workers in Docker, which is"
            f" not installed here; {_WORKERS}"
        )


def _check_dataflow(options: PipelineOptions, paths: Sequence[str]) -> None:
    cloud = options.view_as(GoogleCloudOptions)
    wanted = {
        "--project=PROJECT": cloud.project,
        "--region=REGION": cloud.region,
        "--temp_location=gs://BUCKET/FOLDER": cloud.temp_location or cloud.staging_location,
        "--setup_file=./setup.py (or --sdk_container_image=IMAGE with eventsift in it)": (
            options.view_as(SetupOptions).setup_file
            or options.view_as(WorkerOptions).sdk_container_image
        ),
    }
    missing = [option for option, value in wanted.items() if not value]
    if missing:
        raise RunnerError(f"--runner=DataflowRunner needs {', '.join(missing)}")
    for path in paths:
        if storage.is_local(path):
            raise RunnerError(
                f"{path} is on this machine, where Dataflow's workers cannot reach it:"
                " give --input, --output and --temp as gs:// paths"
            )
