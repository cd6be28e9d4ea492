"""Whether a runner's options make sense, found out before anything starts.

Beam would say it, too: after a minute of waiting, in a traceback, or only in the log of a worker.
"""

import os
import shutil
import socket
from collections.abc import Callable, Sequence

from apache_beam.options.pipeline_options import (
    GoogleCloudOptions,
    PipelineOptions,
    PortableOptions,
    PrismRunnerOptions,
    SetupOptions,
    StandardOptions,
    WorkerOptions,
)

from pipeline import storage
from pipeline.command.console import meant
from pipeline.command.runners import LOCAL, PRISM, name
from pipeline.errors import EventsiftError

# The documented runners; Beam has a few more.
_RUNNERS = (
    "DirectRunner",
    PRISM,
    "PortableRunner",
    "FlinkRunner",
    "SparkRunner",
    "DataflowRunner",
)

# A job server that runs answers at once.
_CONNECT_SECONDS = 3.0
_ENVIRONMENTS = ("LOOPBACK", "EXTERNAL", "DOCKER", "PROCESS")
_WORKERS = (
    "give --environment_type=LOOPBACK if the engine is on this machine, or"
    " --environment_type=EXTERNAL --environment_config=HOST:PORT for a pool of Python workers"
)


class RunnerError(EventsiftError):
    """The runner's options are wrong or incomplete; nothing was started."""


def check(options: PipelineOptions, paths: Sequence[str]) -> None:
    """Checks what Beam would find out late.

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
