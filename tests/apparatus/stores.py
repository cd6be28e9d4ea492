"""Object stores that speak the real protocols, on the loopback address."""

import contextlib
import json
import os
import pathlib
import secrets
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import NamedTuple

from tests.apparatus import install, job_servers, servers

BUCKET = "events"


class Store(NamedTuple):
    """A running object store with one bucket.

    Attributes:
        place: The bucket's URI.
        variables: The standard environment variables that lead to it.
    """

    place: str
    variables: dict[str, str]


@contextlib.contextmanager
def s3(folder: pathlib.Path) -> Iterator[Store]:
    """An S3 server (Versity's gateway to a folder) within the ``with`` block.

    Args:
        folder: For its log and its objects.
    """
    key, secret = secrets.token_hex(10), secrets.token_hex(20)
    (folder / "objects" / BUCKET).mkdir(parents=True)
    port = servers.free_port()
    program = install.go_program(install.VERSITYGW)
    command = [
        *(program, "--access", key, "--secret", secret, "--port", f"{servers.HOST}:{port}"),
        *("posix", folder / "objects"),
    ]
    with servers.running(command, port, folder / "s3.log") as server:
        yield Store(
            f"s3://{BUCKET}",
            {
                "AWS_ENDPOINT_URL": f"http://{server.address}",
                "AWS_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": key,
                "AWS_SECRET_ACCESS_KEY": secret,
            },
        )


@contextlib.contextmanager
def gcs(folder: pathlib.Path) -> Iterator[Store]:
    """A Google Cloud Storage (fake-gcs-server behind `gcs_front`) within the ``with`` block.

    Args:
        folder: For its log.
    """
    port, behind = servers.free_port(), servers.free_port()
    address = f"{servers.HOST}:{port}"
    program = install.go_program(install.FAKE_GCS)
    command = [
        *(program, "-scheme", "http", "-host", servers.HOST, "-port", str(behind)),
        *("-backend", "memory", "-public-host", address, "-external-url", f"http://{address}"),
    ]
    front = [sys.executable, "-m", "tests.apparatus.gcs_front", str(port), str(behind)]
    path = {**os.environ, "PYTHONPATH": str(install.POMS.parents[1])}
    with (
        servers.running(command, behind, folder / "gcs.log"),
        servers.running(front, port, folder / "gcs-front.log", path) as server,
    ):
        url = f"http://{server.address}"
        wanted = urllib.request.Request(
            f"{url}/storage/v1/b",
            json.dumps({"name": BUCKET}).encode(),
            {"Content-Type": "application/json", "Authorization": "Bearer ours"},
        )
        urllib.request.urlopen(wanted).close()
        key = folder / "key.json"
        key.write_text(_service_account(url))
        yield Store(
            f"gs://{BUCKET}",
            {"STORAGE_EMULATOR_HOST": url, "GOOGLE_APPLICATION_CREDENTIALS": str(key)},
        )


def _service_account(url: str) -> str:
    """The key file of a service account; nobody asks for a token at `url`, it makes its own."""
    private = subprocess.run(
        ["openssl", "genpkey", "-quiet", "-algorithm", "RSA"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "tests",
            "private_key_id": "1",
            "private_key": private,
            "client_email": "tests@tests.example",
            "client_id": "1",
            "token_uri": url,
        }
    )


class Hdfs(NamedTuple):
    """A running HDFS of one node.

    Attributes:
        address: HOST:PORT of its name node, as in ``hdfs://HOST:PORT/folder``.
        options: Beam's options that lead to it.
    """

    address: str
    options: list[str]


@contextlib.contextmanager
def hdfs(folder: pathlib.Path) -> Iterator[Hdfs]:
    """An HDFS with one data node, Hadoop's own for its tests, within the ``with`` block.

    Args:
        folder: For its log and its blocks.
    """
    port, web = servers.free_port(), servers.free_port()
    command = job_servers.java(
        "hadoop",
        "org.apache.hadoop.test.MiniDFSClusterManager",
        *("-format", "-datanodes", "1", "-nnport", str(port), "-httpport", str(web)),
        options=[f"-Dtest.build.data={folder}", f"-Djava.io.tmpdir={folder}"],
    )
    with servers.running(command, web, folder / "hdfs.log") as server:
        servers.wait_for_line(server, "Started MiniDFSCluster")
        yield Hdfs(
            f"{servers.HOST}:{port}",
            [
                f"--hdfs_host={servers.HOST}",
                f"--hdfs_port={web}",
                "--hdfs_user=root",
                "--hdfs_full_urls",
            ],
        )
