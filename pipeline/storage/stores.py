"""Object stores: endpoint and credentials are given once, and serve Beam and Delta alike.

Beam's own options (``--s3_endpoint_url``, ``--s3_region_name``, ``--hdfs_host`` ...) come first,
then the environment variables that every tool for the store reads (``AWS_ENDPOINT_URL``,
``AWS_REGION``, ``AWS_ACCESS_KEY_ID`` ...; ``GOOGLE_APPLICATION_CREDENTIALS``,
``STORAGE_EMULATOR_HOST``). Where a store is found travels to the workers with the job. A secret
does so only if it was given as an option: a worker has an environment, or a role, of its own.
"""

import json
import os
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions, S3Options


class _Setting(NamedTuple):
    """One setting of S3, by its names.

    Attributes:
        option: Beam's option.
        delta: deltalake's storage option.
        variables: Environment variables for it, of which the first that is set counts; none where
            boto3 and deltalake find it by themselves on each worker.
    """

    option: str
    delta: str
    variables: tuple[str, ...] = ()


_S3 = (
    _Setting("s3_endpoint_url", "AWS_ENDPOINT_URL", ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")),
    _Setting("s3_region_name", "AWS_REGION", ("AWS_REGION", "AWS_DEFAULT_REGION")),
    _Setting("s3_access_key_id", "AWS_ACCESS_KEY_ID"),
    _Setting("s3_secret_access_key", "AWS_SECRET_ACCESS_KEY"),
    _Setting("s3_session_token", "AWS_SESSION_TOKEN"),
)
# The options that Beam's file systems look at.
_PREFIXES = ("s3_", "hdfs_", "gcs_", "project", "impersonate_service_account")
# Beam does not tell them to processes that the job starts itself, nor to its own local workers
# (`multi_processing`); so those find them here.
_VARIABLE = "EVENTSIFT_STORES"
# Whether this process has its options.
_ready = False


def configure(options: PipelineOptions, environment: Mapping[str, str] = os.environ) -> None:
    """Completes Beam's options from the environment, and hands them to Beam's file systems.

    Beam does the latter by itself in its workers; the process that builds the pipeline has to do it
    before it touches a remote path. The processes that this one starts see to it in `inherit`.

    Args:
        options: The pipeline's; changed in place.
        environment: Variables.
    """
    global _ready
    s3 = options.view_as(S3Options)
    for setting in _S3:
        for variable in setting.variables:
            if environment.get(variable) and getattr(s3, setting.option) is None:
                setattr(s3, setting.option, environment[variable])
    FileSystems.set_options(options)
    os.environ[_VARIABLE] = json.dumps(_given(options))
    _ready = True
    _share_s3_client()


def inherit() -> None:
    """Hands Beam's file systems the options of the process that has started this one, if any."""
    global _ready
    if _ready:
        return
    _ready = True
    _share_s3_client()
    given = os.environ.get(_VARIABLE)
    if given is not None:
        FileSystems.set_options(PipelineOptions.from_dictionary(json.loads(given)))
    elif FileSystems._pipeline_options is None:
        FileSystems.set_options(PipelineOptions([]))


def delta_options(
    root: str, options: PipelineOptions, environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """What deltalake needs, besides its own environment, to reach the table at `root`.

    Args:
        root: The table's folder or URI.
        options: The pipeline's, completed by `configure`.
        environment: Variables.
    """
    if root.startswith("gs://"):
        return _gcs(environment.get("STORAGE_EMULATOR_HOST"))
    if not root.startswith("s3://"):
        return {}
    given = _given(options)
    found = {
        setting.delta: str(given[setting.option]) for setting in _S3 if setting.option in given
    }
    # deltalake wants to be told that a connection without TLS is meant.
    if found.get("AWS_ENDPOINT_URL", "").startswith("http://"):
        found["AWS_ALLOW_HTTP"] = "true"
    return found


def _gcs(url: str | None) -> dict[str, str]:
    """What leads deltalake to `url`, where Google's own libraries find Google Cloud Storage."""
    if not url:
        return {}
    plain = {"allow_http": "true"} if url.startswith("http://") else {}
    return {"google_base_url": url.rstrip("/"), **plain}


def _share_s3_client() -> None:
    """Makes Beam use one S3 client in a process; it makes one for every call, in 0.1 s or more."""
    try:
        from apache_beam.io.aws.clients.s3 import boto3_client
    except ImportError:
        return
    shared: list[Any] = []
    lock = threading.Lock()
    plain_client: Any = getattr(boto3_client.Client, "plain", boto3_client.Client)

    class Client(plain_client):  # type: ignore[misc]
        """Beam's, which holds a stream beside boto3's client; only the latter is thread-safe."""

        plain = plain_client
        client: Any

        def __init__(self, options: object) -> None:
            with lock:
                if not shared:
                    super().__init__(options)
                    shared.append(self.client)
            self.client = shared[0]
            self._download_request = self._download_stream = None
            self._download_pos = 0

    boto3_client.Client = Client  # type: ignore[misc]


def _given(options: PipelineOptions) -> dict[str, object]:
    """The options on stores that are set, by name."""
    everything = options.get_all_options(drop_default=True)
    return {name: value for name, value in everything.items() if name.startswith(_PREFIXES)}
