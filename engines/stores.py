"""Object stores that speak the real protocols, on the loopback address."""

import contextlib
import pathlib
import secrets
from collections.abc import Iterator
from typing import NamedTuple

from engines import install, job_servers, servers

BUCKET = "events"


class S3(NamedTuple):
    """A running S3 server with one bucket, `BUCKET`.

    Attributes:
        variables: The standard environment variables that lead to it.
    """

    variables: dict[str, str]


@contextlib.contextmanager
def s3(folder: pathlib.Path) -> Iterator[S3]:
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
        yield S3(
            {
                "AWS_ENDPOINT_URL": f"http://{server.address}",
                "AWS_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": key,
                "AWS_SECRET_ACCESS_KEY": secret,
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
