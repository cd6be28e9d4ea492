"""Durability, shown by a trace of the system calls of the real command."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import pytest

from pipeline.storage import durable
from tests.commands import ROOT
from tests.deliveries import Event, deliver

# strace writes a call in two lines where another thread's comes in between.
_CALL = re.compile(
    r"^(\d+) +(\w+)\((.*)\) += 0"
    r"|^(\d+) +(\w+)\((.*) <unfinished"
    r"|^(\d+) +<\.\.\. (\w+) resumed.*= 0"
)
_SYNCED = re.compile(r"\d+<(.*)>")
_NAMES = re.compile(r'"([^"]*)"')


class Call(NamedTuple):
    """A system call that has succeeded: what it did, with which file, and of which it is a link."""

    name: str
    path: str
    of: str = ""


def _can_trace() -> bool:
    tool = shutil.which("strace")
    return bool(tool) and subprocess.run([tool, "true"], capture_output=True).returncode == 0


traced = pytest.mark.skipif(not _can_trace(), reason="needs strace, and the right to trace")


def _calls(trace: Path) -> Iterator[Call]:
    """Yields the calls in the order in which they ended."""
    begun: dict[str, str] = {}
    for line in trace.read_text(errors="surrogateescape").splitlines():
        if (found := _CALL.match(line)) is None:
            continue
        if found[4]:
            begun[found[4]] = found[6]
            continue
        name, arguments = (found[2], found[3]) if found[1] else (found[8], begun[found[7]])
        if synced := _SYNCED.match(arguments):
            yield Call(name, synced[1])
        elif names := _NAMES.findall(arguments):
            yield Call(name, names[-1], names[0] if name == "link" else "")


def _run(inputs: Path, output: Path, *options: str) -> list[Call]:
    """The calls of one run of the job."""
    trace = inputs.parent / "trace.txt"
    calls = "fsync,link,linkat,rename,renameat,renameat2,unlink,unlinkat,mkdir"
    job = [sys.executable, "-m", "pipeline", "--input", str(inputs), "--output", str(output)]
    done = subprocess.run(
        ["strace", "-fy", "-s", "9999", "-e", f"trace={calls}", "-o", str(trace), *job, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Published" in done.stdout
    return list(_calls(trace))


def _commits(output: Path) -> dict[str, list[dict[str, Any]]]:
    """The actions of each commit, by the path of its file."""
    return {
        str(path): [json.loads(line) for line in path.read_text().splitlines()]
        for path in sorted((output / "_delta_log").glob("*.json"))
    }


def _ways(path: str, output: Path) -> list[str]:
    """A file, and the folders whose entries lead to it from the table's folder on."""
    folders = [str(folder) for folder in Path(path).parents]
    return [path, *folders[: folders.index(str(output)) + 1]]


@traced
@pytest.mark.parametrize("options", [(), ("--keep-history", "7d")])
def test_what_a_commit_names_is_on_disk_before_it_and_the_commit_before_success(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    """After a power cut the log names no file that is not there, and keeps what was reported."""
    output = tmp_path / "table"
    inputs = tmp_path / "in"
    inputs.mkdir()
    deliver(
        inputs / "a.jsonl", [Event("a", "2021-01-08T10:00:00"), Event("b", "2021-01-09T00:00:00")]
    )
    known: set[str] = set()
    for day in (10, 11):
        deliver(inputs / f"{day}.jsonl", [Event("a", f"2021-01-{day}T10:00:00")])
        calls = _run(inputs, output, *options)
        ends = {call.path: number for number, call in enumerate(calls) if call.name != "fsync"}
        origin = {call.path: call.of for call in calls if call.of}  # of links
        synced: dict[str, list[int]] = {}
        for number, call in enumerate(calls):
            if call.name == "fsync":
                synced.setdefault(call.path, []).append(number)
        commits = {path: actions for path, actions in _commits(output).items() if path not in known}
        assert commits
        for commit, actions in commits.items():
            made = ends[commit]
            for added in [action["add"]["path"] for action in actions if "add" in action]:
                file, *folders = _ways(str(output / unquote(added)), output)
                for folder in folders:
                    assert any(at < made for at in synced[folder]), f"{folder} before {commit}"
                assert any(at < made for at in synced[origin.get(file, file)])
            for way in _ways(commit, output):
                assert synced[way][-1] > made, f"{way} after {commit}"
            # What a commit removes is deleted only once the commit is on disk.
            for gone in [action["remove"]["path"] for action in actions if "remove" in action]:
                deleted = ends.get(str(output / unquote(gone)))
                assert deleted is None or any(made < at < deleted for at in synced[commit])
        kept = [p for p in (output / "_eventsift" / "runs").iterdir() if str(p) in ends]
        for record in kept:
            assert synced[str(record)][-1] > ends[str(record)]
        known |= commits.keys()


@traced
def test_the_names_above_a_new_table_are_on_disk_too(tmp_path: Path) -> None:
    """A table in folders that are new themselves is found after a power cut."""
    source = deliver(tmp_path / "a.jsonl", [Event("a", "2021-01-08T10:00:00")])
    output = tmp_path / "new" / "deeper" / "table"
    calls = [call.path for call in _run(source, output) if call.name == "fsync"]
    for folder in (tmp_path, tmp_path / "new", tmp_path / "new" / "deeper"):
        assert str(folder) in calls


def test_a_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    """A file that was lost before it was synced is never reported as safe."""
    with pytest.raises(FileNotFoundError):
        durable.sync([str(tmp_path / "gone")], str(tmp_path))


def test_nothing_is_synced_for_an_object_store() -> None:
    """An object store answers only when an object is safe."""
    durable.sync(["s3://bucket/table/a"], "s3://bucket/table")
    durable.sync_parents("s3://bucket/table")


@pytest.mark.skipif(os.name == "nt", reason="folders have no permission bits there")
def test_folders_above_a_table_that_may_not_be_opened_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table below a folder of somebody else's can be made."""
    plain = os.open

    def refuse(path: str, flags: int, *more: Any, **named: Any) -> int:
        if path == str(tmp_path.parent):
            raise PermissionError(path)
        return plain(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", refuse)
    durable.sync_parents(str(tmp_path / "table"))
