"""Input, temp and output on S3 and on Google Cloud Storage, against servers speaking the protocols.

What leads to the store is given once, and serves Beam and Delta.
"""

import os
import pathlib
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from conftest import Deliveries, engine, moved, refuses_second_commit
from jobs import Published, environment, publish, run

from pipeline import storage
from pipeline.storage.stores import configure, delta_options
from pipeline.table import delta
from pipeline.table.address import Table
from tests.apparatus import stores
from tests.apparatus.stores import Store
from tests.commands import ROOT
from tests.storage.rules import EveryStore

PREFIXES = ("AWS_", "GOOGLE_", "STORAGE_EMULATOR_HOST")


@pytest.fixture(scope="module", params=[stores.s3, stores.gcs], ids=["s3", "gcs"])
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    """A store, to which the environment of this process and of its jobs leads."""
    with engine(request.param, tmp_path_factory) as server, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(PREFIXES)]:
            patch.delenv(name)
        for name, value in server.variables.items():
            patch.setenv(name, value)
        configure(PipelineOptions([]))
        yield server


@pytest.fixture(scope="module")
def uploaded(store: Store, deliveries: Deliveries) -> list[str]:
    """The two deliveries on the store."""
    for source in deliveries:
        for path in source.rglob("*"):
            if path.is_file():
                name = f"{source.name}/{path.relative_to(source)}"
                storage.write_bytes(f"{store.place}/{name}", path.read_bytes())
    return [f"{store.place}/{folder.name}" for folder in deliveries]


@pytest.fixture
def root(store: Store, request: pytest.FixtureRequest) -> str:
    """A new table's URI."""
    return f"{store.place}/{request.node.originalname}"


def _delta(root: str) -> dict[str, str]:
    options = PipelineOptions([])
    configure(options)
    return delta_options(root, options)


class TestRules(EveryStore):
    @pytest.fixture
    def base(self, store: Store, request: pytest.FixtureRequest) -> str:
        """A prefix that no other test has."""
        return f"{store.place}/rules/{uuid.uuid4().hex}"


def test_publish_and_merge(
    store: Store,
    uploaded: list[str],
    deliveries: Deliveries,
    expected: list[Published],
    root: str,
) -> None:
    """Two deliveries, read in worker processes of the job's own, all of it on the store."""
    options = [f"--temp={store.place}/temp", "--workers=2"]

    outcomes = [publish([delivery], root, options, None, _delta(root)) for delivery in uploaded]

    assert outcomes == [moved(outcome, deliveries, store.place) for outcome in expected]
    assert storage.list_files(f"{store.place}/temp") == []
    page = storage.read_bytes(f"{root}/_eventsift/page.html").decode()
    assert f"<bdi>{root}</bdi>" in page


def test_beams_worker_processes(store: Store, uploaded: list[str], root: str) -> None:
    """Beam's own workers reach the store, although Beam does not tell them where it is.

    On S3 Beam's options alone lead there, with nothing in the environment.
    """
    options = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    to_store = _delta(root)
    with pytest.MonkeyPatch.context() as patch:
        if store.place.startswith("s3"):
            options += [
                f"--s3_endpoint_url={store.variables['AWS_ENDPOINT_URL']}",
                f"--s3_region_name={store.variables['AWS_REGION']}",
                f"--s3_access_key_id={store.variables['AWS_ACCESS_KEY_ID']}",
                f"--s3_secret_access_key={store.variables['AWS_SECRET_ACCESS_KEY']}",
            ]
            for name in store.variables:
                patch.delenv(name)
        done = run([uploaded[0]], root, options)

    assert (done.returncode, done.stderr) == (0, "")
    assert delta.load(Table(root, to_store)).version == 1


def test_killed_job(
    store: Store,
    uploaded: list[str],
    deliveries: Deliveries,
    expected: list[Published],
    root: str,
    tmp_path: pathlib.Path,
) -> None:
    """A job that is killed while it writes has published nothing; the next one is right.

    It clears up what the killed one has left on the local disk, where versions lie.
    """
    kill = {"EVENTSIFT_TEST_KILL": f"write:{tmp_path / 'killed'}"}
    (scratch := tmp_path / "scratch").mkdir()
    local = {"TMPDIR": str(scratch)}

    killed = run([uploaded[0]], root, ["--workers=1"], kill | local)

    assert killed.returncode == -signal.SIGKILL
    assert delta.load(Table(root, _delta(root))).version == -1
    assert len([*scratch.glob("eventsift-*/*.versions")]) > 3
    outcome = publish([uploaded[0]], root, ["--workers=1"], local, _delta(root))
    assert outcome == moved(expected[0], deliveries, store.place)
    assert [*scratch.glob("eventsift-*")] == []


def test_stopped_job(uploaded: list[str], root: str, tmp_path: pathlib.Path) -> None:
    """A job that is asked to stop deletes what it has on the local disk, where versions lie."""
    arguments = ["--input", uploaded[0], "--output", root, "--workers=2", "--quiet"]
    job = subprocess.Popen(
        [sys.executable, "-m", "pipeline", *arguments],
        cwd=ROOT,
        env=environment({"TMPDIR": str(tmp_path)}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    while not [*tmp_path.glob("eventsift-*/*.versions")]:
        assert job.poll() is None
        time.sleep(0.001)

    job.terminate()

    assert job.wait(60) == 128 + signal.SIGTERM
    assert [*tmp_path.glob("eventsift-*")] == []


def test_concurrent_commit(uploaded: list[str], root: str) -> None:
    """Design, invariant 4: of two commits on top of one version the store takes only the first.

    It can: on S3 a commit is a PUT with `If-None-Match`, on Google Cloud Storage one with
    `x-goog-if-generation-match: 0`, which a server may not know. (deltalake commits nothing where
    it is told so with `aws_conditional_put=disabled`.)
    """
    options = _delta(root)
    publish([uploaded[1]], root, (), None, options)

    refuses_second_commit(root, options)


def test_store_that_refuses(store: Store, root: str, tmp_path: pathlib.Path) -> None:
    """A wrong key, or a bucket that is not there, is told in one sentence that names the file."""
    root = root if store.place.startswith("s3") else "gs://no-such-bucket/table"

    done = run([tmp_path], root, [], {"AWS_SECRET_ACCESS_KEY": "wrong"})

    assert done.returncode == 1
    assert done.stderr.count("\n") == 2
    assert root in done.stderr
