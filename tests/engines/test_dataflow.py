"""The job as Dataflow gets it, without an account: the whole graph is built and not sent."""

import pathlib
from typing import Any

import apache_beam as beam
import pytest
from jobs import commands

from pipeline.command import console, job

pytest.importorskip(
    "google.cloud.storage", reason="needs the gcp extra, which ./run.sh test-engines installs"
)

from apache_beam.runners.dataflow.internal import apiclient

ROOT = pathlib.Path(__file__).parent.parent.parent
OPTIONS = [
    "--runner=DataflowRunner",
    "--dry_run=True",
    "--no_auth",
    "--project=a-project",
    "--region=europe-west1",
    "--temp_location=gs://a-bucket/temp",
    "--staging_location=gs://a-bucket/staging",
    "--input=gs://a-bucket/landing/**",
    "--output=gs://a-bucket/events",
]


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the job's pipelines return when they are run."""
    results = []
    run = beam.Pipeline.run

    def remember(pipeline: beam.Pipeline, *arguments: Any) -> Any:
        results.append(run(pipeline, *arguments))
        return results[-1]

    monkeypatch.setattr(beam.Pipeline, "run", remember)
    monkeypatch.chdir(ROOT)
    return results


def test_graph(built: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    """The graph has every step; the package and the locations go with it."""
    status = job.main([*OPTIONS, "--setup_file=./setup.py", "--rebuild=true"])

    assert (status, capsys.readouterr().out) == (
        console.DONE,
        "The job's graph is built; it was not asked to run.\n",
    )
    result = built[-1]
    graph = result.job.proto_pipeline
    steps = {name.split("/")[0] for name in _names(graph)}
    assert steps >= {"plan", "read", "delivery keys", "scan", "latest", "route", "write", "commit"}
    packages = [
        dependency.role_payload
        for environment in graph.components.environments.values()
        for dependency in environment.dependencies
    ]
    assert any(b"workflow.tar.gz" in package for package in packages)
    environment = str(
        apiclient.Environment([], result.job.options, "2.0", "", proto_pipeline=graph).proto
    )
    for setting in (
        'temp_storage_prefix: "storage.googleapis.com/a-bucket/temp',
        "gs://a-bucket/staging",
    ):
        assert setting in environment


def _names(graph: Any) -> list[str]:
    return [transform.unique_name for transform in graph.components.transforms.values()]


@pytest.mark.parametrize(
    ("without", "sentence"),
    [
        ("--region=europe-west1", "--runner=DataflowRunner needs --region=REGION"),
        ("--project=a-project", "--runner=DataflowRunner needs --project=PROJECT"),
    ],
)
def test_missing_option(
    without: str, sentence: str, built: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """What is missing is said in one sentence, before anything is built."""
    options = [option for option in OPTIONS if option != without]

    with pytest.raises(SystemExit):
        job.main([*options, "--sdk_container_image=an-image"])

    assert capsys.readouterr().err.endswith(f"error: {sentence}\n")
    assert built == []


def test_documented_command(built: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    """The page's command for those without an account works as it stands there."""
    (command,) = commands(ROOT / "docs" / "dataflow.md")

    status = job.main(command)

    assert (status, len(built) > 0) == (console.DONE, True)
