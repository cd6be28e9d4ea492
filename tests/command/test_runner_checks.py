"""Wrong and missing options of runners are named in one sentence, before anything starts."""

import socket

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.command import runner_checks
from pipeline.command.runner_checks import RunnerError

PATHS = ["gs://bucket/in/*", "gs://bucket/out"]


def _refused(*arguments: str, paths: list[str] = PATHS) -> str:
    with pytest.raises(RunnerError) as caught:
        runner_checks.check(PipelineOptions(list(arguments)), paths)
    return str(caught.value)


@pytest.fixture
def listening() -> str:
    """The address of somebody who accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_prism_is_not_there() -> None:
    """A wrong path is named, with how to get the program."""
    said = _refused("--runner=PrismRunner", "--prism_location=/no/prism")

    assert said.startswith("--prism_location=/no/prism: there is no such file; build Prism with")


def test_no_job_endpoint() -> None:
    """The option that is missing is named, with an example."""
    assert "give --job_endpoint=HOST:PORT" in _refused("--runner=PortableRunner")


@pytest.mark.parametrize("endpoint", ["localhost", ":8099", "localhost:http"])
def test_odd_job_endpoint(endpoint: str) -> None:
    """What cannot be an address is not tried."""
    said = _refused("--runner=PortableRunner", f"--job_endpoint={endpoint}")

    assert said == f"--job_endpoint={endpoint}: must be HOST:PORT, e.g. localhost:8099"


def test_nobody_at_the_job_endpoint() -> None:
    """Not a minute of waiting, as Beam has it."""
    said = _refused("--runner=PortableRunner", "--job_endpoint=127.0.0.1:1")

    assert said.startswith("--job_endpoint=127.0.0.1:1: no job server answers there")


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ("LOPBACK", "--environment_type=LOPBACK: must be one of LOOPBACK, EXTERNAL"),
        ("EXTERNAL", "give --environment_config=HOST:PORT"),
    ],
)
def test_odd_environment(listening: str, environment: str, sentence: str) -> None:
    """Where the Python workers are must make sense."""
    portable = ["--runner=PortableRunner", f"--job_endpoint={listening}"]

    assert sentence in _refused(*portable, f"--environment_type={environment}")


def test_no_docker(listening: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beam's default, Docker, is not what somebody without Docker can have meant."""
    monkeypatch.setenv("PATH", "")

    said = _refused("--runner=PortableRunner", f"--job_endpoint={listening}")

    assert "Docker, which is not installed here; give --environment_type=LOOPBACK" in said


def test_loopback(listening: str) -> None:
    """What is right passes."""
    portable = ["--runner=PortableRunner", f"--job_endpoint={listening}"]

    runner_checks.check(PipelineOptions([*portable, "--environment_type=LOOPBACK"]), ["in", "out"])


DATAFLOW = [
    "--runner=DataflowRunner",
    "--project=a-project",
    "--region=a-region",
    "--temp_location=gs://bucket/temp",
    "--setup_file=./setup.py",
]


@pytest.mark.parametrize("missing", DATAFLOW[1:])
def test_dataflow_needs(missing: str) -> None:
    """Each option that Dataflow cannot do without is asked for by name."""
    said = _refused(*[option for option in DATAFLOW if option != missing])

    assert said.startswith(f"--runner=DataflowRunner needs {missing.partition('=')[0]}=")


def test_dataflow_cannot_reach_this_machine() -> None:
    """A local path is refused, not looked for on the workers."""
    runner_checks.check(PipelineOptions(DATAFLOW), PATHS)

    assert _refused(*DATAFLOW, paths=["in", "gs://bucket/out"]).startswith("in is on this machine")
