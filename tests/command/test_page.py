"""The page as a command, and as the end of a run."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import storage
from pipeline.command import console, job, page
from tests.commands import ROOT
from tests.deliveries import Event, deliver


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """A run that works."""
    delivery = deliver(tmp_path / "in.jsonl", [Event("a", "2021-01-08T10:00:00Z")])
    return ["--input", str(delivery), "--output", str(tmp_path / "out")]


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Where the page of the run's table is."""
    return tmp_path / "out" / "_eventsift" / "page.html"


def test_a_run_ends_with_the_page(
    arguments: list[str], made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It shows the run, and the last line says where it is; nothing else is left beside it."""
    assert job.main(arguments) == console.DONE

    assert capsys.readouterr().out.splitlines()[-1] == f"As a page: {made}"
    assert "1 read = 1 kept + 0 superseded + 0 exact duplicates + 0 rejected" in made.read_text()
    assert "An orange mark shows where the last run wrote files: 1 partition." in made.read_text()
    assert not list(made.parent.glob(".page*"))


def test_a_run_that_finds_nothing_new_leaves_the_page(arguments: list[str], made: Path) -> None:
    """There is nothing to tell."""
    job.main(arguments)
    made.write_text("as it was")

    assert job.main(arguments) == console.DONE

    assert made.read_text() == "as it was"


def test_no_page_switches_it_off(
    arguments: list[str], made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And nothing that only a page needs is imported; without the option it is imported late."""
    assert job.main([*arguments, "--no-page"]) == console.DONE

    assert "As a page" not in capsys.readouterr().out
    assert not made.exists()
    program = "import sys; from pipeline.command import job; print('jinja2' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


@pytest.mark.parametrize("what", ["a folder in its place", "an error of our own"])
def test_a_page_that_cannot_be_written_fails_no_run(
    arguments: list[str],
    made: Path,
    what: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The run is published by then. Seen to fail without the `except` in `after_run`."""
    if what == "a folder in its place":
        (made / "full").mkdir(parents=True)
    else:
        monkeypatch.setattr("pipeline.page.build.render", lambda _: 1 / 0)

    assert job.main(arguments) == console.DONE

    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == "Published as version 1."
    assert err.startswith("eventsift: the page could not be written, which changes nothing else: ")
    assert not list(made.parent.glob(".page*"))


def test_every_round_of_watching_writes_it(
    arguments: list[str],
    made: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A round says one line, and the page is not in it."""
    files = storage.match([arguments[1]]).files
    # Of its arguments the fourth does a round with the files that were found.
    monkeypatch.setattr(job.watch, "watch", lambda *found: found[3](files))

    assert job.main([*arguments, "--watch", "1s"]) == console.DONE

    assert len(capsys.readouterr().out.splitlines()) == 1
    assert made.exists()


class TestCommand:
    """``eventsift page``."""

    def test_where_it_is_written(
        self,
        arguments: list[str],
        made: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Beside the summaries, or where one likes to have it, in a folder that need not be."""
        job.main([*arguments, "--no-page"])
        capsys.readouterr()
        monkeypatch.chdir(tmp_path)

        assert page.main(["--output", "out"]) == console.DONE
        assert page.main(["--output", "out", "--file", "new/my page.html"]) == console.DONE

        other = tmp_path / "new" / "my page.html"
        assert capsys.readouterr().out == f"The page is {made}\nThe page is {other}\n"
        assert made.stat().st_size == other.stat().st_size

    def test_a_folder_without_a_table(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Is an error in a sentence, and stays without a page."""
        assert page.main(["--output", str(tmp_path)]) == console.FAILED
        assert "there is no table" in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []

    def test_somebody_elses_folder(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Nothing is written to it."""
        (tmp_path / "theirs").write_text("")
        assert page.main(["--output", str(tmp_path)]) == console.FAILED
        assert "there is no table: it has no _delta_log" in capsys.readouterr().err
        assert [path.name for path in tmp_path.iterdir()] == ["theirs"]

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            ([], "--output is needed, the table's folder"),
            (["--ouput", "x"], "unknown option --ouput; did you mean --output?"),
            (["--output", "x", "--bogus"], "unknown option --bogus"),
            (["--output", ""], "'' is no path"),
        ],
    )
    def test_usage_errors(
        self, options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """One sentence, and status 2."""
        with pytest.raises(SystemExit) as stopped:
            page.main(options)
        assert stopped.value.code == console.USAGE
        assert sentence in capsys.readouterr().err

    def test_of_a_local_table_beam_is_not_imported(
        self, arguments: list[str], tmp_path: Path
    ) -> None:
        """It takes longer than the page."""
        job.main(arguments)
        program = (
            "import sys; from pipeline.command import page;"
            " page.main(sys.argv[1:]); print('apache_beam' in sys.modules)"
        )
        command = [sys.executable, "-c", program, "--output", str(tmp_path / "out")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "False"
