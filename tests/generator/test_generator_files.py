import bz2
import gzip
import json
import lzma
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import zstandard

from generator import files
from generator.__main__ import main
from generator.documents import Documents, documents
from generator.files import chunks, deliver
from generator.layout import indented
from generator.options import COMPRESSIONS, FRAMINGS, Options

OPENERS: dict[str, Callable[[bytes], bytes]] = {
    "none": lambda data: data,
    "gzip": gzip.decompress,
    "bzip2": bz2.decompress,
    "xz": lzma.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}


def options(output: pathlib.Path, **changes: Any) -> Options:
    """Makes options of a small delivery in four files."""
    return Options(events=1_000, output=output, files=4, seed=5)._replace(**changes)


def contents(directory: pathlib.Path) -> dict[str, bytes]:
    """Returns the bytes of every file, hidden ones too, by name."""
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def events_in(text: str) -> list[Any]:
    """Returns the documents of a file in any framing, with numbers as they are written."""
    decoder = json.JSONDecoder(parse_float=str, parse_int=str)
    found, at = [], 0
    text = text.strip()
    while at < len(text):
        document, at = decoder.raw_decode(text, at)
        found.append(document)
        at += len(text[at:]) - len(text[at:].lstrip())
    return found[0] if found and isinstance(found[0], list) else found


def test_two_runs_give_the_same_bytes_whatever_the_environment(tmp_path: pathlib.Path) -> None:
    """Neither hash seed nor locale nor time zone changes a byte."""
    for run, environment in enumerate(
        (
            {"PYTHONHASHSEED": "1", "TZ": "UTC", "LC_ALL": "C"},
            {"PYTHONHASHSEED": "2", "TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8"},
        )
    ):
        subprocess.run(
            [sys.executable, "-m", "generator", "--events", "2000", "--files", "2", "--seed", "3",
             "--output", str(tmp_path / str(run)), "--broken", "0.05", "--extra", "0.1",
             "--compression", "gzip"],
            env={**os.environ, **environment},
            check=True,
            capture_output=True,
        )  # fmt: skip
    assert contents(tmp_path / "0") == contents(tmp_path / "1")


def test_another_seed_gives_other_events(tmp_path: pathlib.Path) -> None:
    """No line, and no id, is shared."""
    deliver(options(tmp_path / "a", seed=1))
    deliver(options(tmp_path / "b", seed=2))
    one, other = (b"".join(contents(tmp_path / name).values()).splitlines() for name in "ab")
    assert not set(one) & set(other)


@pytest.mark.parametrize("count", [1, 3, 70])
def test_the_number_of_files_does_not_change_the_events(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """The files, joined, are the one file, however the work is cut into chunks."""
    expected = b"".join(chunks(options(tmp_path), 0, 1_000))
    monkeypatch.setattr(files, "_CHUNK_EVENTS", 64)

    deliver(options(tmp_path, files=count))

    assert len(contents(tmp_path)) == count
    assert b"".join(contents(tmp_path).values()) == expected


@pytest.mark.parametrize("ending", ["", "bom", "crlf"])
@pytest.mark.parametrize("framing", FRAMINGS)
def test_every_framing_holds_the_same_events(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, framing: str, ending: str
) -> None:
    """Events are the same down to the digits of numbers, also where a chunk ends."""
    monkeypatch.setattr(files, "_CHUNK_EVENTS", 64)
    asked = options(
        tmp_path, events=300, framing=framing, bom=ending == "bom", crlf=ending == "crlf"
    )
    expected = events_in(
        b"".join(chunks(asked._replace(framing="lines", bom=False), 0, 300)).decode()
    )

    data = b"".join(chunks(asked, 0, 300))

    assert data.startswith(b"\xef\xbb\xbf") == asked.bom
    text = data.decode("utf-8-sig")
    assert events_in(text) == expected
    if asked.crlf:
        assert text.count("\r\n") == text.count("\n")
        assert ("\r\n" in text) == (framing in ("lines", "pretty", "array"))
    else:
        assert "\r" not in text


def test_framings_look_as_their_names_say(tmp_path: pathlib.Path) -> None:
    """A framing that is another one in disguise would test nothing."""
    text = {
        framing: b"".join(chunks(options(tmp_path, framing=framing), 0, 50)).decode()
        for framing in FRAMINGS
    }
    assert len(text["lines"].splitlines()) == 50
    assert text["lines"].endswith("}\n")
    assert text["concatenated"].count('}{"event_id"') == 49
    assert text["spaced"].count('} {"event_id"') == 49
    assert text["pretty"].count('\n{\n  "event_id": ') == 49
    assert text["pretty"].count("\n") > 500
    assert len(json.loads(text["array"])) == 50


def test_broken_events_do_not_break_other_framings(tmp_path: pathlib.Path) -> None:
    """Where lines do not separate events, the events after a broken one can still be found."""
    for framing in FRAMINGS[1:]:
        asked = options(tmp_path, framing=framing, broken=0.3)
        assert len(events_in(b"".join(chunks(asked, 0, 500)).decode())) == 500


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_every_compression_decodes_to_the_same_bytes(
    tmp_path: pathlib.Path, compression: str
) -> None:
    """Compressed files are complete, and the same in every run."""
    asked = options(tmp_path / "a", compression=compression, files=1)
    deliver(asked)
    deliver(asked._replace(output=tmp_path / "b"))

    ((name, data),) = contents(tmp_path / "a").items()
    assert OPENERS[compression](data) == b"".join(chunks(asked, 0, 1_000))
    assert contents(tmp_path / "b") == {name: data}
    endings = {"none": "", "gzip": ".gz", "bzip2": ".bz2", "xz": ".xz", "zstd": ".zst"}
    assert name == "events-00000.jsonl" + endings[compression]


def test_indenting_keeps_strings_and_numbers_as_written() -> None:
    """Pretty-printed events must still be kept byte for byte, so 12.50 may not become 12.5."""
    document = r'{"a":[1.50,{"b":"x, {y}: \"z\" \\"}],"c":{},"d":null,"e":-1e2}'
    text = indented(document)
    assert json.loads(text) == json.loads(document)
    assert "1.50" in text
    assert r'"x, {y}: \"z\" \\"' in text
    assert text.startswith('{\n  "a": [\n    1.50,\n    {\n      "b": ')


def test_duplicates_are_mostly_in_another_file(tmp_path: pathlib.Path) -> None:
    """Deduplication within one file must not be enough."""
    deliver(options(tmp_path, files=10))
    first: dict[str, str] = {}
    here = elsewhere = 0
    for name, data in contents(tmp_path).items():
        for line in data.splitlines():
            event_id = json.loads(line)["event_id"]
            if first.setdefault(event_id, name) == name:
                here += 1
            else:
                elsewhere += 1
    duplicates = here + elsewhere - len(first)
    assert duplicates == 100
    assert elsewhere > 60


def test_a_second_delivery_repeats_the_first_without_overwriting_it(tmp_path: pathlib.Path) -> None:
    """The summary of the first delivery says all that the second one needs."""
    first = deliver(options(tmp_path))
    before = contents(tmp_path)
    second = deliver(
        options(tmp_path, known_ids=first.known_ids, first_file=first.next_file, duplicates=0.5)
    )
    after = contents(tmp_path)

    assert after.items() >= before.items()
    assert sorted(after.keys() - before.keys()) == [f"events-0000{n}.jsonl" for n in range(4, 8)]
    ids = {json.loads(line)["event_id"] for data in after.values() for line in data.splitlines()}
    assert len(ids) == second.known_ids == first.new_ids + second.new_ids == 1_400
    lines = set(b"".join(before.values()).splitlines())
    again = [
        line for name in after.keys() - before for line in after[name].splitlines() if line in lines
    ]
    assert len(again) > 50


@pytest.mark.parametrize("framing", FRAMINGS)
def test_files_without_events_are_valid(tmp_path: pathlib.Path, framing: str) -> None:
    """More files than events make empty files, which pipelines get in practice."""
    summary = deliver(options(tmp_path, events=1, files=3, framing=framing))
    found = [events_in(data.decode()) for data in contents(tmp_path).values()]
    assert sorted(map(len, found)) == [0, 0, 1]
    assert summary.events == 1


def test_no_file_is_seen_before_it_is_complete(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A delivery that stops midway leaves complete files and nothing else."""

    def failing(asked: Options, wanted: Any) -> Documents:
        if wanted.id_number.max() > 600:
            assert (tmp_path / ".events-00002.jsonl.part").exists()
            raise OSError("the disk is gone")
        return documents(asked, wanted)

    monkeypatch.setattr(files, "documents", failing)
    with pytest.raises(OSError, match="disk"):
        deliver(options(tmp_path))
    assert list(contents(tmp_path)) == ["events-00000.jsonl", "events-00001.jsonl"]


def test_the_command_makes_the_directory_and_says_what_it_wrote(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says in one line: events, files, bytes, ids, duplicates, broken, and how to go on."""
    output = tmp_path / "deep" / "down"
    status = main(["--events", "2000", "--output", str(output), "--files", "2", "--broken", "0.01"])
    size = sum(map(len, contents(output).values()))
    assert status == 0
    assert capsys.readouterr().out == (
        f"2,000 events in 2 files, {size:,} bytes: 1,782 new ids, 198 duplicates, 20 broken "
        "(to go on: --known-ids 1782 --first-file 2)\n"
    )


def test_a_directory_that_cannot_be_made_is_one_sentence(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody gets a traceback for what is not a bug."""
    (tmp_path / "taken").write_text("")
    status = main(["--events", "1", "--output", str(tmp_path / "taken")])
    assert status == 1
    assert capsys.readouterr().err == (
        f"eventsift: --output {tmp_path / 'taken'} is a file, not a folder; give a folder\n"
    )
