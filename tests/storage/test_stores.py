"""Stores: what leads to one is given once, as an option or in the environment."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions, S3Options

from pipeline.storage import stores
from pipeline.storage.stores import configure, connection, delta_options

ROOT = "s3://bucket/table"


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test configures ends with it."""
    monkeypatch.setenv("EVENTSIFT_STORES", "{}")
    yield
    configure(PipelineOptions([]), {})


def test_environment_reaches_obstore_and_delta() -> None:
    """The standard variables are enough for both; plain HTTP is allowed where it is asked for."""
    options = PipelineOptions([])

    configure(options, {"AWS_ENDPOINT_URL": "http://localhost:7070", "AWS_DEFAULT_REGION": "r"})

    s3 = options.view_as(S3Options)
    assert (s3.s3_endpoint_url, s3.s3_region_name) == ("http://localhost:7070", "r")
    assert (
        connection(ROOT)
        == delta_options(ROOT, options)
        == {
            "AWS_ENDPOINT_URL": "http://localhost:7070",
            "AWS_REGION": "r",
            "AWS_ALLOW_HTTP": "true",
        }
    )


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


def test_processes_find_what_this_one_was_given() -> None:
    """A process that the job starts finds the options, although Beam does not tell it."""
    configure(PipelineOptions(["--hdfs_host=there", "--s3_endpoint_url=https://ours"]), {})
    asks = (
        "import json, sys; from pipeline.storage import stores;"
        "print(json.dumps(stores.given())); assert 'apache_beam' not in sys.modules"
    )

    told = json.loads(subprocess.check_output([sys.executable, "-c", asks], text=True))

    assert told == {"hdfs_host": "there", "s3_endpoint_url": "https://ours"}


def test_workers_of_an_engine_find_what_beam_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beam hands the job's options to the workers that an engine starts."""
    monkeypatch.delenv("EVENTSIFT_STORES")
    monkeypatch.setattr(stores, "_known", None)
    monkeypatch.setattr(FileSystems, "_pipeline_options", PipelineOptions(["--hdfs_user=me"]))

    assert stores.given() == {"hdfs_user": "me"}


class TestProfiles:
    @pytest.fixture(autouse=True)
    def home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A home without AWS's files, and no variables of AWS."""
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / ".aws").mkdir()
        return tmp_path

    def test_none(self) -> None:
        """A machine's role is found by obstore."""
        assert not stores.has_profile()
        assert stores.profile() is None

    def test_a_file_of_aws_s_tools(self, home: Path) -> None:
        """Its keys and its region count, whatever profile is chosen."""
        pytest.importorskip("boto3", reason="an extra")
        (home / ".aws" / "credentials").write_text(
            "[other]\naws_access_key_id = key\naws_secret_access_key = secret\n"
        )
        (home / ".aws" / "config").write_text("[profile other]\nregion = there\n")
        assert stores.has_profile()
        assert stores.profile() is None  # the default profile has no keys
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_PROFILE", "other")
            found = stores.profile()
        keys = found()
        assert (keys["access_key_id"], keys["secret_access_key"]) == ("key", "secret")
        assert found.config == {"region": "there"}

    def test_keys_and_roles_come_first(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A profile is for people; a job's own keys and roles are not overruled by a file."""
        (home / ".aws" / "credentials").write_text("[default]\n")
        assert stores.has_profile()
        for name in ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_SKIP_SIGNATURE"):
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv(name, "x")
                assert not stores.has_profile()
        configure(PipelineOptions(["--s3_access_key_id=key"]), {})
        assert not stores.has_profile()
