import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import shown
from pipeline.input import rejects
from pipeline.input.rejects import REASONS, Reject


@given(st.binary(max_size=50) | st.text(max_size=50).map(str.encode), st.text())
def test_a_dead_letter_is_one_json_line_that_loses_nothing(raw: bytes, message: str) -> None:
    """It has all that is known, with text as text, for people and jq, and other bytes as base64."""
    reject = Reject("in/é\n.jsonl", 12, len(raw), "not-json", message, raw)
    line = reject.dead_letter("run-1")
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    letter = json.loads(line)
    found = (
        letter.pop("raw").encode()
        if "raw" in letter
        else base64.b64decode(letter.pop("raw_base64"))
    )
    assert found == raw
    assert letter == {
        "run": "run-1", "source": "in/é\n.jsonl", "offset": 12, "length": len(raw),
        "reason": "not-json", "message": message,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "key"), [("é".encode(), "raw"), (b"\xff", "raw_base64"), (b"", "raw")]
)
def test_raw_is_text_where_it_can_be(raw: bytes, key: str) -> None:
    """There is either `raw` or `raw_base64`, never both."""
    letter = json.loads(Reject("f", 0, len(raw), "not-json", "", raw).dead_letter("r"))
    assert {"raw", "raw_base64"} & letter.keys() == {key}


def test_a_runaway_record_is_quoted_by_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead letter is bounded; source, offset and length still say where all of it lies."""
    monkeypatch.setattr(rejects, "RAW_BYTES_LIMIT", 2000)
    for size, kept in ((2000, 2000), (2001, rejects.PREVIEW_BYTES)):
        reject = Reject("f", 5, size, "not-json", "", b"x" * size)
        letter = json.loads(reject.dead_letter("r"))
        assert (letter["length"], len(letter["raw"])) == (size, kept)


@given(st.text() | st.binary() | st.integers())
def test_shown_is_short(value: object) -> None:
    """Values are shown as Python writes them, long ones by their beginning and end."""
    text = shown(value)
    full = repr(value)
    assert len(text) <= 60
    assert text == full or (full.startswith(text[:40]) and full.endswith(text[-18:]))
    assert shown("x" * 100, 30) == "'xxxxxxxxx…xxxxxxxxxxxxxxxxx'"


def test_reasons_are_named_like_table_columns_and_said_in_words() -> None:
    """They are an interface: file names, tallies and dashboards use them."""
    for reason, words in REASONS.items():
        assert reason == reason.lower().replace(" ", "-")
        assert " " in words
