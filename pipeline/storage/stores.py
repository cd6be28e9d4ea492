"""Where stores are and who we are there: given once, and the same for obstore, deltalake and HDFS.

Beam's own options (``--s3_endpoint_url``, ``--s3_region_name``, ``--hdfs_host`` ...) come first,
then the environment variables that every tool for the store reads (``AWS_ENDPOINT_URL``,
``AWS_REGION``, ``AWS_ACCESS_KEY_ID`` ...; ``GOOGLE_APPLICATION_CREDENTIALS``,
``STORAGE_EMULATOR_HOST``), then a profile in ``~/.aws``, then the role of the machine. Where a
store is travels to the workers with the job. A secret does so only if it was given as an option: a
worker has an environment, or a role, of its own.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions


class _Setting(NamedTuple):
    """One setting of S3, by its names.

    Attributes:
        option: Beam's option.
        name: The name that obstore and deltalake have for it.
        variables: Environment variables for it, of which the first that is set counts; none for
            secrets, which obstore and deltalake find by themselves on each worker.
    """

    option: str
    name: str
    variables: tuple[str, ...] = ()


_S3 = (
    _Setting("s3_endpoint_url", "AWS_ENDPOINT_URL", ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")),
    _Setting("s3_region_name", "AWS_REGION", ("AWS_REGION", "AWS_DEFAULT_REGION")),
    _Setting("s3_access_key_id", "AWS_ACCESS_KEY_ID"),
    _Setting("s3_secret_access_key", "AWS_SECRET_ACCESS_KEY"),
    _Setting("s3_session_token", "AWS_SESSION_TOKEN"),
)
# How the options that lead to stores begin.
_PREFIXES = ("s3_", "hdfs_")
# Processes that the job starts itself, and Beam's own local workers (`multi_processing`), find the
# options here.
_VARIABLE = "EVENTSIFT_STORES"
# The files of AWS's tools, and the variables that name others.
_PROFILES = {
    "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials",
    "AWS_CONFIG_FILE": "~/.aws/config",
}
# Where one of these is set, no profile is looked for.
_ROLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)

# What this process was given; None as long as it has not asked.
_known: dict[str, Any] | None = None


def configure(options: PipelineOptions, environment: Mapping[str, str] = os.environ) -> None:
    """Completes Beam's options from the environment, and remembers those that lead to stores.

    To be called by the process that builds the pipeline, before it touches a remote path. All
    others find the options by themselves; see `given`.

    Args:
        options: The pipeline's; changed in place.
        environment: Variables.
    """
    global _known
    from apache_beam.options.pipeline_options import S3Options

    s3 = options.view_as(S3Options)
    for setting in _S3:
        for variable in setting.variables:
            if environment.get(variable) and getattr(s3, setting.option) is None:
                setattr(s3, setting.option, environment[variable])
    _known = _of_stores(options)
    os.environ[_VARIABLE] = json.dumps(_known)


def given() -> dict[str, Any]:
    """Returns the options that lead to stores, of the job that this process works for."""
    global _known
    if _known is None:
        told = os.environ.get(_VARIABLE)
        _known = _of_beams_worker() if told is None else json.loads(told)
    return _known


def _of_beams_worker() -> dict[str, Any]:
    """What Beam has told a worker that an engine has started."""
    beam: Any = sys.modules.get("apache_beam.io.filesystems")
    options = beam and beam.FileSystems._pipeline_options
    return _of_stores(options) if options else {}


def _of_stores(options: PipelineOptions) -> dict[str, Any]:
    """The options on stores that are set, by name."""
    everything = options.get_all_options(drop_default=True)
    return {name: value for name, value in everything.items() if name.startswith(_PREFIXES)}


def delta_options(
    root: str, options: PipelineOptions, environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Returns what deltalake needs, besides its own environment, to reach the table at `root`.

    Args:
        root: The table's folder or URI.
        options: The pipeline's, completed by `configure`.
        environment: Variables.
    """
    return _connection(root, _of_stores(options), environment)


def connection(path: str) -> dict[str, str]:
    """Returns what obstore needs, besides its own environment, to reach the store of a path."""
    return _connection(path, given(), os.environ)


def _connection(
    path: str, options: Mapping[str, Any], environment: Mapping[str, str]
) -> dict[str, str]:
    if path.startswith("gs://"):
        return _gcs(environment.get("STORAGE_EMULATOR_HOST"))
    if not path.startswith("s3://"):
        return {}
    found = {
        setting.name: str(options[setting.option]) for setting in _S3 if setting.option in options
    }
    # A connection without TLS must be allowed.
    if found.get("AWS_ENDPOINT_URL", "").startswith("http://"):
        found["AWS_ALLOW_HTTP"] = "true"
    return found


def _gcs(url: str | None) -> dict[str, str]:
    """What leads to `url`, where Google's own libraries find Google Cloud Storage."""
    if not url:
        return {}
    plain = {"allow_http": "true"} if url.startswith("http://") else {}
    return {"google_base_url": url.rstrip("/"), **plain}


def has_profile() -> bool:
    """Tells whether the keys to S3 are those of a profile of AWS's tools."""
    if given().get("s3_access_key_id") or any(map(os.environ.get, _ROLES)):
        return False
    files = (os.environ.get(name, file) for name, file in _PROFILES.items())
    return "AWS_PROFILE" in os.environ or any(os.path.isfile(os.path.expanduser(f)) for f in files)


def profile() -> Any:
    """Returns what gives obstore the keys of a profile, and its region; None if there is none."""
    if not has_profile():
        return None
    import boto3
    from obstore.auth.boto3 import Boto3CredentialProvider

    session = boto3.Session(region_name=given().get("s3_region_name"))
    return Boto3CredentialProvider(session) if session.get_credentials() else None
