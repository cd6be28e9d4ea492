"""Input, temp and output on S3: endpoint and key are given once, and serve Beam and Delta."""

import os
import pathlib
import signal
from collections.abc import Iterator

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from conftest import Deliveries, engine, moved, refuses_second_commit
from jobs import Published, publish, run

from engines import stores
from pipeline import storage, table
from pipeline.stores import configure, delta_options

boto3 = pytest.importorskip(
    "boto3", reason="needs the aws extra, which ./run.sh test-engines installs"
)


PLACE = f"s3://{stores.BUCKET}"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An S3 server, to which the environment of this process and of its jobs leads."""
    with engine(stores.s3, tmp_path_factory) as server, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in server.variables.items():
            patch.setenv(name, value)
        configure(PipelineOptions([]))
        yield server.variables


@pytest.fixture(scope="module")
def uploaded(s3: dict[str, str], deliveries: Deliveries) -> list[str]:
    """The two deliveries on S3."""
    folders = [f"{PLACE}/{folder.name}" for folder in deliveries]
    client = boto3.client("s3")
    for source in deliveries:
        for path in source.rglob("*"):
            if path.is_file():
                key = f"{source.name}/{path.relative_to(source)}"
                client.upload_file(str(path), stores.BUCKET, key)
    return folders


@pytest.fixture
def root(request: pytest.FixtureRequest) -> str:
    """A new table's URI."""
    return f"{PLACE}/{request.node.name}"


def _delta(root: str) -> dict[str, str]:
    options = PipelineOptions([])
    configure(options)
    return delta_options(root, options)


def test_publish_and_merge(
    uploaded: list[str], deliveries: Deliveries, expected: list[Published], root: str
) -> None:
    """Two deliveries, read in worker processes of the job's own, all of it on S3."""
    options = [f"--temp={PLACE}/temp", "--workers=2"]

    outcomes = [publish([delivery], root, options, None, _delta(root)) for delivery in uploaded]

    assert outcomes == [moved(outcome, deliveries, PLACE) for outcome in expected]
    assert storage.list_files(f"{PLACE}/temp") == []


def test_options_instead_of_environment(
    s3: dict[str, str], uploaded: list[str], root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beam's options alone lead to the store, in every process and for Delta, too."""
    delta = _delta(root)
    given = [
        f"--s3_endpoint_url={s3['AWS_ENDPOINT_URL']}",
        f"--s3_region_name={s3['AWS_REGION']}",
        f"--s3_access_key_id={s3['AWS_ACCESS_KEY_ID']}",
        f"--s3_secret_access_key={s3['AWS_SECRET_ACCESS_KEY']}",
        "--direct_running_mode=multi_processing",
        "--direct_num_workers=2",
    ]
    with monkeypatch.context() as patch:
        for name in s3:
            patch.delenv(name)
        done = run([uploaded[0]], root, given)

    assert (done.returncode, done.stderr) == (0, "")
    assert table.load(root, delta).version == 1


def test_killed_job(
    uploaded: list[str],
    deliveries: Deliveries,
    expected: list[Published],
    root: str,
    tmp_path: pathlib.Path,
) -> None:
    """A job that is killed while it writes has published nothing; the next one is right."""
    kill = {"EVENTSIFT_TEST_KILL": f"write:{tmp_path / 'killed'}"}

    killed = run([uploaded[0]], root, ["--workers=0"], kill)

    assert killed.returncode == -signal.SIGKILL
    assert table.load(root, _delta(root)).version == -1
    outcome = publish([uploaded[0]], root, ["--workers=0"], None, _delta(root))
    assert outcome == moved(expected[0], deliveries, PLACE)


def test_concurrent_commit(uploaded: list[str], root: str) -> None:
    """Design, invariant 4: of two commits on top of one version the store takes only the first.

    It can: on S3 a commit is a PUT with `If-None-Match`, which a server may not know. (deltalake
    commits nothing where it is told so with `aws_conditional_put=disabled`.)
    """
    options = _delta(root)
    publish([uploaded[1]], root, (), None, options)

    refuses_second_commit(root, options)


def test_unreachable_store(s3: dict[str, str], root: str, tmp_path: pathlib.Path) -> None:
    """A wrong key is told in one sentence that names the file."""
    done = run([tmp_path], root, [], {"AWS_SECRET_ACCESS_KEY": "wrong"})

    assert done.returncode == 1
    assert done.stderr.count("\n") == 2
    assert root in done.stderr
