"""The environments that run.sh makes: with which Python, when, and what it says if it cannot."""

from __future__ import annotations

import shutil

import pytest

from tests.project.checkouts import Checkout


def test_too_old_python_is_named(checkout: Checkout) -> None:
    """The user learns which Python was found and which is needed."""
    checkout.python("python3", "3.9")
    checkout.python("python", "2.7")
    result = checkout.run("run")
    assert result.status == 1
    assert result.err == (
        "run.sh: Python 3.10 or newer is needed; found python3 (3.9), python (2.7).\n"
    )


def test_no_python_at_all(checkout: Checkout) -> None:
    """A machine without Python gets the same sentence, not "command not found"."""
    result = checkout.run("run")
    assert result.status == 1
    assert result.err == "run.sh: Python 3.10 or newer is needed; found none.\n"


def test_python_variable_overrides_the_search(checkout: Checkout) -> None:
    """PYTHON names the interpreter; if that one is too old, no other is taken in silence."""
    checkout.python("python3.12", "3.12")
    checkout.python("old", "3.9")
    result = checkout.run("run", PYTHON="old")
    assert result.status == 1
    assert "found old (3.9) for PYTHON=old." in result.err


def test_newest_python_that_runs_is_taken(checkout: Checkout) -> None:
    """Also past a version manager's shim, which is there and does not run."""
    (checkout.bin / "python3.13").write_text("#!/bin/bash\necho no such version >&2\nexit 127\n")
    (checkout.bin / "python3.13").chmod(0o755)
    checkout.python("python3.12", "3.12")
    checkout.python("python3", "3.11")
    result = checkout.run("run")
    assert result.status == 0, result.err
    assert "for Python 3.12 into .venv" in result.err


def test_missing_venv_module_names_the_package(checkout: Checkout) -> None:
    """Debian's python3 comes without venv: say what to install instead of a traceback."""
    checkout.python("python3", "3.11", venv_missing=1)
    result = checkout.run("run")
    assert result.status == 1
    assert "install python3.11-venv" in result.err
    assert len(result.err.splitlines()) == 1
    assert not (checkout.root / ".venv").exists()


def test_folder_that_cannot_be_made(checkout: Checkout) -> None:
    """An unwritable place (here: a file in the way) is one sentence with the system's reason."""
    checkout.python("python3", "3.11")
    (checkout.root / ".venv").write_text("")
    result = checkout.run("run")
    assert result.status == 1
    assert result.err.startswith(f"run.sh: cannot make the folder {checkout.root}/.venv (")
    assert len(result.err.splitlines()) == 1


def test_failed_install_shows_pips_words_and_is_not_ready(checkout: Checkout) -> None:
    """Offline: pip's reason is shown, and the next start installs instead of half working."""
    checkout.python("python3", "3.11", pip_status=1)
    result = checkout.run("run", "--input", "x")
    assert result.status == 1
    assert "installing the requirements failed" in result.err
    assert "ERROR: no such host" in result.err
    assert not any("pipeline" in call for call in checkout.calls())

    checkout.python("python3", "3.11")
    assert checkout.run("run").status == 0
    assert len(checkout.pip_calls()) == 2


def test_second_start_installs_nothing(checkout: Checkout) -> None:
    """The minute is paid once, and the second start is silent."""
    checkout.python("python3", "3.11")
    first = checkout.run("run")
    assert len(first.err.splitlines()) == 1
    second = checkout.run("run")
    assert (second.status, second.out, second.err) == (0, "", "")
    assert len(checkout.pip_calls()) == 1


def test_second_start_keeps_the_interpreter(checkout: Checkout) -> None:
    """An environment made with PYTHON=... stays when the variable is not repeated."""
    checkout.python("python3.13", "3.13")
    checkout.python("python3.11", "3.11")
    checkout.run("run", PYTHON="python3.11")
    assert checkout.run("run").err == ""


@pytest.mark.parametrize("change", ["requirements.txt", "pyproject.toml", "python", "moved"])
def test_changes_that_need_a_new_install(checkout: Checkout, change: str) -> None:
    """An environment that no longer fits the checkout is made anew, not used."""
    checkout.python("python3", "3.11")
    checkout.run("run")
    env: dict[str, str] = {}
    if change == "python":
        checkout.python("python3", "3.11", build="another build")
        env["PYTHON"] = "python3"
    elif change == "moved":
        moved = checkout.root.rename(checkout.root.parent / "elsewhere")
        checkout = checkout._replace(root=moved)
    else:
        with (checkout.root / change).open("a") as file:
            file.write("# changed\n")
    assert "Installing the requirements" in checkout.run("run", **env).err
    assert len(checkout.pip_calls()) == 2


def test_test_tools_are_installed_once_and_only_for_tests(checkout: Checkout) -> None:
    """Users of the job do not wait for test tools; developers wait once."""
    checkout.python("python3", "3.11")
    checkout.run("run")
    assert not any(".[test]" in call for call in checkout.pip_calls())
    checkout.run("test", "-k", "a b")
    checkout.run("test")
    assert sum(".[test]" in call for call in checkout.pip_calls()) == 1
    assert [call for call in checkout.calls() if "-m pytest" in call] == [
        "-m pytest -k a b",
        "-m pytest -n auto --dist loadfile --no-loadscope-reorder",
    ]


def test_benchmarks_have_an_environment_of_their_own(checkout: Checkout) -> None:
    """What the benchmarks compare with must not change the versions that are tested."""
    checkout.python("python3", "3.11")
    (checkout.root / "benchmarks").mkdir()
    (checkout.root / "benchmarks" / "requirements.txt").write_text("other\n")
    assert checkout.run("bench", "--rows", "1").status == 0
    assert not (checkout.root / ".venv").exists()
    assert any("benchmarks/requirements.txt" in call for call in checkout.pip_calls())
    assert checkout.calls()[-1] == "-m benchmarks --rows 1"


def test_own_environment_is_used_as_it_is(checkout: Checkout) -> None:
    """EVENTSIFT_VENV (here relative) is somebody else's: nothing is installed or removed there."""
    checkout.python("python", "3.11")
    (checkout.root / "own" / "bin").mkdir(parents=True)
    shutil.copy(checkout.bin / "python", checkout.root / "own" / "bin" / "python")
    assert checkout.run("test", EVENTSIFT_VENV="own").status == 0
    assert checkout.calls() == ["-m pytest"]


def test_own_environment_that_is_none(checkout: Checkout) -> None:
    """A wrong EVENTSIFT_VENV is said, not replaced by another environment."""
    result = checkout.run("run", EVENTSIFT_VENV="/nowhere")
    assert result.status == 1
    assert result.err == "run.sh: EVENTSIFT_VENV has no bin/python: /nowhere\n"


def test_every_python_is_tested_and_missing_ones_are_named(checkout: Checkout) -> None:
    """test-pythons must not pass by leaving versions out in silence."""
    checkout.python("python3.10", "3.10")
    checkout.python("python3.12", "3.12")
    result = checkout.run("test-pythons", "-x")
    assert result.status == 0, result.err
    assert result.err.endswith("Passed: 3.12 3.10. Failed: none. Not here: 3.13 3.11.\n")
    assert checkout.calls().count("-m pytest -x") == 2
    assert {path.name for path in checkout.root.glob(".venv*")} == {".venv-3.10", ".venv-3.12"}


def test_some_pythons(checkout: Checkout) -> None:
    """Versions that come first are those to test; the rest goes to pytest."""
    for version in ("3.10", "3.11", "3.13"):
        checkout.python(f"python{version}", version)
    result = checkout.run("test-pythons", "3.10", "3.13", "tests/a.py")
    assert result.status == 0, result.err
    assert result.err.endswith("Passed: 3.10 3.13. Failed: none. Not here: none.\n")
    assert checkout.calls().count("-m pytest tests/a.py") == 2


def test_one_failing_python_fails_them_all(checkout: Checkout) -> None:
    """The other versions are still tried, and the result is a failure."""
    checkout.python("python3.13", "3.13", pip_status=1)
    checkout.python("python3.12", "3.12")
    result = checkout.run("test-pythons")
    assert result.status == 1
    assert "Passed: 3.12. Failed: 3.13." in result.err


def test_the_page_is_tested_in_a_browser(checkout: Checkout) -> None:
    """What drives the browser is installed beside the test tools, for that command only."""
    checkout.python("python3", "3.11")
    assert checkout.run("test-page", "-k", "fits").status == 0
    assert sum(".[test,page]" in call for call in checkout.pip_calls()) == 1
    assert checkout.calls()[-1] == "-m pytest tests/page -m browser -k fits"
