"""Beam's job servers, each with a whole engine inside one Java process."""

import contextlib
import json
import pathlib
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence

from tests.apparatus import install, servers
from tests.apparatus.servers import HOST, Server

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
# Flink's start scripts work out a task manager's memory; here no script does. And every process has
# all jars of the job on its class path, so those that come with the job are not to hide them.
_SESSION_CONF = """
jobmanager.rpc.address: {host}
jobmanager.rpc.port: {rpc}
rest.address: {host}
rest.port: {rest}
taskmanager.host: {host}
taskmanager.cpu.cores: 2.0
taskmanager.memory.task.heap.size: 512m
taskmanager.memory.task.off-heap.size: 64m
taskmanager.memory.managed.size: 256m
taskmanager.memory.network.max: 256m
taskmanager.memory.framework.heap.size: 128m
taskmanager.memory.framework.off-heap.size: 128m
taskmanager.memory.jvm-metaspace.size: 256m
taskmanager.memory.jvm-overhead.min: 128m
taskmanager.memory.jvm-overhead.max: 128m
classloader.resolve-order: parent-first
io.tmp.dirs: {temporary}
"""


def java(name: str, main: str, *arguments: str, options: Sequence[str] = ()) -> list[str]:
    """The command that runs a class of the jars of ``tests/apparatus/NAME``.

    Raises:
        install.MissingError: They are not to be had.
    """
    opens = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENS]
    path = f"{install.jars(name)}/*"
    return ["java", HEAP, *opens, *options, "-cp", path, main, *arguments]


@contextlib.contextmanager
def flink(
    folder: pathlib.Path, master: str = "[local]", conf: pathlib.Path = FLINK_CONF
) -> Iterator[Server]:
    """A job server for Flink 1.19 within the ``with`` block.

    Args:
        folder: For its log and its files.
        master: Where Flink is; ``[local]`` for one inside this process.
        conf: Flink's configuration.
    """
    main = "org.apache.beam.runners.flink.FlinkJobServerDriver"
    where = [f"--flink-master={master}", f"--flink-conf-dir={conf}"]
    with _job_server("flink", main, where, folder) as server:
        yield server


@contextlib.contextmanager
def flink_session(folder: pathlib.Path) -> Iterator[Server]:
    """A Flink cluster: a job manager and a task manager of two slots, each a process of its own.

    Args:
        folder: For their logs and files.

    Yields:
        A job server that hands its jobs to the cluster.
    """
    rest = servers.free_port()
    conf = folder / "conf"
    conf.mkdir()
    base = (FLINK_CONF / "flink-conf.yaml").read_text()
    ours = _SESSION_CONF.format(
        host=HOST, rpc=servers.free_port(), rest=rest, temporary=folder / "session-tmp"
    )
    (conf / "flink-conf.yaml").write_text(base + ours)
    session = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
    manager = java("flink", session, "--configDir", str(conf))
    runner = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
    worker = java("flink", runner, "--configDir", str(conf))
    with (
        servers.running(manager, rest, folder / "job-manager.log"),
        servers.running(worker, rest, folder / "task-manager.log"),
    ):
        _wait_for_task_manager(f"http://{HOST}:{rest}/overview")
        with flink(folder, f"{HOST}:{rest}", conf) as server:
            yield server


@contextlib.contextmanager
def worker_pool(folder: pathlib.Path, environment: Mapping[str, str]) -> Iterator[Server]:
    """A pool of Python workers, which a task manager starts as it needs them.

    Args:
        folder: For its log.
        environment: That of the workers.
    """
    port = servers.free_port()
    pool = "apache_beam.runners.worker.worker_pool_main"
    command = [sys.executable, "-m", pool, f"--service_port={port}"]
    with servers.running(command, port, folder / "pool.log", environment) as server:
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


def _wait_for_task_manager(overview: str) -> None:
    """Waits until Flink's page says that it has one."""
    deadline = time.monotonic() + servers.START_SECONDS
    while time.monotonic() < deadline:
        # It answers "unavailable" until it has got itself together.
        with contextlib.suppress(OSError), urllib.request.urlopen(overview) as answer:
            if json.load(answer)["taskmanagers"]:
                return
        time.sleep(servers.POLL_SECONDS)
    raise servers.ServerError(f"{overview} shows no task manager")


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
