"""Getting engines and stores: built or downloaded once, kept outside the repository.

Go programs are built from the Go module proxy; Java programs are the jars of a ``pom.xml`` here.
"""

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence

CACHE = pathlib.Path(
    os.environ.get("EVENTSIFT_CACHE") or pathlib.Path.home() / ".cache" / "eventsift"
)
"""Where they are kept; safe to delete."""

POMS = pathlib.Path(__file__).parent

PRISM = "github.com/apache/beam/sdks/v2/go/cmd/prism@v2.77.0"
VERSITYGW = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
FAKE_GCS = "github.com/fsouza/fake-gcs-server@v1.56.1"

# A cold cache on a slow machine.
_TIMEOUT_SECONDS = 900


class MissingError(Exception):
    """An engine is not to be had on this machine; the message says why."""


def go_program(module: str) -> pathlib.Path:
    """The path of a program built with ``go install``.

    Args:
        module: Its path and version, e.g. `PRISM`.

    Raises:
        MissingError: There is no Go, or the program cannot be built.
    """
    name = module.rpartition("/")[2]

    def build(folder: pathlib.Path) -> None:
        environment = {**os.environ, "GOBIN": str(folder), "GOFLAGS": "-mod=mod"}
        _call(["go", "install", module], environment)

    return _cached(name, build) / name.partition("@")[0]


def jars(name: str) -> pathlib.Path:
    """The folder with the jars of ``tests/apparatus/NAME/pom.xml`` and all they need.

    Raises:
        MissingError: There is no Java or no Maven, or a jar cannot be downloaded.
    """
    if shutil.which("java") is None:
        raise MissingError("java is not installed")
    pom = POMS / name / "pom.xml"

    def download(folder: pathlib.Path) -> None:
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={folder}"]
        _call(["mvn", "-q", "-B", "-f", str(pom), *goal], dict(os.environ))

    version = hashlib.sha256(pom.read_bytes()).hexdigest()[:12]
    return _cached(f"{name}-{version}", download)


def _cached(name: str, make: Callable[[pathlib.Path], None]) -> pathlib.Path:
    """The folder `name` of the cache; `make` fills it if it is not there yet."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / f".{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second process waits instead of making it, too
        folder = CACHE / name
        if not folder.exists():
            making = pathlib.Path(tempfile.mkdtemp(prefix=f".{name}.", dir=CACHE))
            try:
                make(making)
                making.rename(folder)
            finally:
                shutil.rmtree(making, ignore_errors=True)
    return folder


def _call(command: Sequence[str], environment: dict[str, str]) -> None:
    if shutil.which(command[0]) is None:
        raise MissingError(f"{command[0]} is not installed")
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise MissingError(f"{' '.join(command)} took too long") from error
    if done.returncode:
        last = "\n".join(done.stdout.strip().splitlines()[-5:])
        raise MissingError(f"{' '.join(command)} failed: {last}")
