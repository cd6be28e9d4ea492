"""Beam's job servers, each with a whole engine inside one Java process."""

import contextlib
import pathlib
from collections.abc import Iterator, Sequence

from engines import install, servers
from engines.servers import HOST, Server

# Flink and Spark look into Java's own classes, which Java 17 keeps closed unless told otherwise.
# (Spark's list is its own, org.apache.spark.launcher.JavaModuleOptions.)
_OPENS = (
    "java.lang",
    "java.lang.invoke",
    "java.lang.reflect",
    "java.io",
    "java.net",
    "java.nio",
    "java.time",
    "java.util",
    "java.util.concurrent",
    "java.util.concurrent.atomic",
    "sun.nio.ch",
    "sun.nio.cs",
    "sun.security.action",
    "sun.util.calendar",
)
HEAP = "-Xmx1g"
FLINK_CONF = install.POMS / "flink" / "conf"


def java(name: str, main: str, *arguments: str, options: Sequence[str] = ()) -> list[str]:
    """The command that runs a class of the jars of ``engines/NAME``.

    Raises:
        install.MissingError: They are not to be had.
    """
    opens = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENS]
    path = f"{install.jars(name)}/*"
    return ["java", HEAP, *opens, *options, "-cp", path, main, *arguments]


@contextlib.contextmanager
def flink(folder: pathlib.Path, master: str = "[local]") -> Iterator[Server]:
    """A job server for Flink 1.19 within the ``with`` block.

    Args:
        folder: For its log and its files.
        master: Where Flink is; ``[local]`` for one inside this process.
    """
    main = "org.apache.beam.runners.flink.FlinkJobServerDriver"
    where = [f"--flink-master={master}", f"--flink-conf-dir={FLINK_CONF}"]
    with _job_server("flink", main, where, folder) as server:
        yield server


@contextlib.contextmanager
def spark(folder: pathlib.Path) -> Iterator[Server]:
    """A job server with a Spark 3.5 of two slots inside, within the ``with`` block.

    Args:
        folder: For its log and its files.
    """
    main = "org.apache.beam.runners.spark.SparkJobServerDriver"
    # Two slots, and four tries of a task.
    with _job_server("spark", main, ["--spark-master-url=local[2,4]"], folder) as server:
        yield server


@contextlib.contextmanager
def _job_server(
    name: str, main: str, where: Sequence[str], folder: pathlib.Path
) -> Iterator[Server]:
    port = servers.free_port()
    temporary = folder / f"{name}-tmp"
    temporary.mkdir(parents=True)
    options = [
        f"-Djava.io.tmpdir={temporary}",
        "-Dspark.ui.enabled=false",
        f"-Dspark.driver.host={HOST}",
        f"-Dspark.local.dir={temporary}",
    ]
    command = java(
        name,
        main,
        *where,
        f"--job-host={HOST}",
        f"--job-port={port}",
        "--artifact-port=0",
        "--expansion-port=0",
        f"--artifacts-dir={temporary}",
        options=options,
    )
    with servers.running(command, port, folder / f"{name}.log") as server:
        yield server
