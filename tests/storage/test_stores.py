"""Stores: what leads to one is given once, as an option or in the environment."""

import json
import subprocess
import sys

import pytest
from apache_beam.options.pipeline_options import PipelineOptions, S3Options

from pipeline.storage.stores import configure, delta_options

ROOT = "s3://bucket/table"


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test configures ends with it."""
    monkeypatch.setenv("EVENTSIFT_STORES", "{}")
    yield
    configure(PipelineOptions([]), {})


def test_environment_reaches_beam_and_delta() -> None:
    """The standard variables are enough for both; plain HTTP is allowed where it is asked for."""
    options = PipelineOptions([])

    configure(options, {"AWS_ENDPOINT_URL": "http://localhost:7070", "AWS_DEFAULT_REGION": "r"})

    s3 = options.view_as(S3Options)
    assert (s3.s3_endpoint_url, s3.s3_region_name) == ("http://localhost:7070", "r")
    assert delta_options(ROOT, options) == {
        "AWS_ENDPOINT_URL": "http://localhost:7070",
        "AWS_REGION": "r",
        "AWS_ALLOW_HTTP": "true",
    }


def test_secrets_stay_in_the_environment() -> None:
    """Only what is given as an option travels with the job."""
    options = PipelineOptions([])

    configure(options, {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"})

    assert "secret" not in options.get_all_options().values()
    assert delta_options(ROOT, options) == {}


def test_options_come_first() -> None:
    """An option beats a variable; keys given as options reach Delta."""
    options = PipelineOptions(
        [
            "--s3_endpoint_url=https://ours",
            "--s3_access_key_id=key",
            "--s3_secret_access_key=secret",
            "--s3_session_token=token",
        ]
    )

    configure(options, {"AWS_ENDPOINT_URL": "http://theirs"})

    assert delta_options(ROOT, options) == {
        "AWS_ENDPOINT_URL": "https://ours",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "token",
    }


def test_stand_in_for_google_cloud_storage() -> None:
    """The variable that leads Google's own libraries to another server leads Delta there, too."""
    options = PipelineOptions([])

    found = delta_options("gs://b/t", options, {"STORAGE_EMULATOR_HOST": "http://localhost:4443/"})

    assert found == {"google_base_url": "http://localhost:4443", "allow_http": "true"}
    assert delta_options("gs://b/t", options, {}) == {}


def test_local_table_needs_nothing() -> None:
    """A local table is not told about S3."""
    options = PipelineOptions(["--s3_endpoint_url=https://ours"])

    assert delta_options("/table", options) == {}


def test_processes_inherit() -> None:
    """A process that the job starts finds the options, although Beam does not tell it."""
    configure(PipelineOptions(["--hdfs_host=there", "--s3_endpoint_url=https://ours"]), {})
    asks = (
        "import json; from pipeline.storage import stores; stores.inherit();"
        "from apache_beam.io.filesystems import FileSystems;"
        "print(json.dumps(FileSystems._pipeline_options.get_all_options(drop_default=True)))"
    )

    told = json.loads(subprocess.check_output([sys.executable, "-c", asks], text=True))

    assert told == {"hdfs_host": "there", "s3_endpoint_url": "https://ours"}
