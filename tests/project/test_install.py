"""``pip install .`` into an empty environment gives the command ``eventsift``, and all it needs.

Where pip can reach no index the tests are skipped, but not on the build server.
"""

import os
import shutil
import subprocess
import venv
from pathlib import Path
from typing import NamedTuple

import pytest

from pipeline import __version__, start
from tests.commands import ROOT
from tests.deliveries import Event, deliver
from tests.tables import ids

pytestmark = pytest.mark.slow  # Beam is installed

# All that an image needs to install the package; see deploy.
SOURCES = ("setup.py", "pyproject.toml", "requirements.txt", "pipeline", "generator")
# What pip says without a network.
NO_INDEX = ("No matching distribution found", "Could not find a version")


class Installed(NamedTuple):
    """An environment with nothing but the package, and a user of it.

    Attributes:
        bin: The environment's folder of programs.
        folder: Where the user stands. It has packages called as ours are: people have folders
            called pipeline.
    """

    bin: Path
    folder: Path

    def run(self, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Runs a program of the environment to its end, as a user's shell does."""
        ours = ("PYTHON", "EVENTSIFT")
        return subprocess.run(
            [self.bin / program, *map(str, arguments)],
            cwd=self.folder,
            env={name: value for name, value in os.environ.items() if not name.startswith(ours)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=900,
        )

    def eventsift(self, *arguments: str | Path) -> str:
        """Runs the command, which must succeed in silence; returns what it prints."""
        done = self.run("eventsift", *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The package, installed at the versions that are tested."""
    base = tmp_path_factory.mktemp("installed")
    sources = base / "sources"
    sources.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, sources / name)
        else:
            shutil.copy(ROOT / name, sources)
    venv.create(base / "environment", with_pip=True)
    made = Installed(base / "environment" / "bin", base / "user")
    for package in ("pipeline", "generator"):
        (made.folder / package).mkdir(parents=True)
        (made.folder / package / "__init__.py").write_text("raise SystemExit(99)")
    pip = made.run("pip", "install", "-c", sources / "requirements.txt", sources)
    if any(words in pip.stderr for words in NO_INDEX) and not os.environ.get("CI"):
        pytest.skip("pip can reach no index with the packages that are needed")
    assert pip.returncode == 0, pip.stderr
    return made


def test_version(installed: Installed) -> None:
    """It stands in bug reports."""
    assert installed.eventsift("--version") == f"eventsift {__version__}\n"


def test_the_commands_work_on_one_table(installed: Installed) -> None:
    """The packages that are installed are complete, and the user's are not taken for ours.

    Seen to fail with `pipeline.steps` left out of the packages in pyproject.toml.
    """
    deliver(installed.folder / "a.jsonl", [Event("a", "2021-01-08T10:00:00")])

    run = installed.eventsift("run", "--input", "a.jsonl", "--output", "table")
    verify = installed.eventsift("verify", "--output", "table")
    compact = installed.eventsift("compact", "--output", "table")

    assert "Published as version 1." in run
    assert "Everything is right." in verify
    assert "Nothing to merge" in compact
    assert ids(installed.folder / "table") == ["a"]


def test_worker_processes_are_not_fooled(installed: Installed) -> None:
    """They look for the package where the command does.

    Seen to fail with the user's folder on the search path when the processes are started.
    """
    for number in range(start._WORK_FILES):  # as many as start worker processes
        event = Event(f"e{number}", "2021-01-08T10:00:00")
        deliver(installed.folder / "many" / f"{number}.jsonl", [event])

    run = installed.eventsift("run", "--input", "many", "--output", "many-table", "--workers", "2")

    assert f"{start._WORK_FILES:,} kept" in run


def test_the_generator_says_what_it_lacks(installed: Installed) -> None:
    """Workers of an engine need no Faker, so it is an extra; the message has the command for it.

    Seen to fail while the generator imported Faker later than where it looked for its absence.
    """
    arguments = ("generate", "--events", "50", "--output", "events")

    lacking = installed.run("eventsift", *arguments)
    assert lacking.returncode == 1
    (command,) = [line.partition("with: ")[2] for line in lacking.stderr.splitlines()]
    assert command == "pip install 'eventsift[generator]'"
    pip = installed.run("pip", *command.replace("'", "").split()[1:])
    assert pip.returncode == 0, pip.stderr

    assert installed.eventsift(*arguments).startswith("50 events in 1 file")
    assert "Published" in installed.eventsift("run", "--input", "events", "--output", "generated")
