import datetime
import hashlib
import json
import pathlib
import re

import numpy as np
import pytest

from generator.documents import documents, event_ids
from generator.options import Options
from generator.versions import COPY, NEW, TIE, versions

EVENTS = 5_000
OPTIONS = Options(events=EVENTS, output=pathlib.Path("unused"), seed=5)
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}")


def texts(options: Options = OPTIONS) -> list[str]:
    """Makes all documents of a delivery."""
    return documents(options, versions(options, 0, options.events)).texts


def instant(text: str) -> datetime.datetime:
    """Returns what a timestamp means; UTC if it has no zone."""
    text = re.sub("Z$", "+00:00", text)  # for Python 3.10
    moment = datetime.datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)


def test_every_document_is_an_event_with_the_five_fields_in_order() -> None:
    """What the generator calls intact is what the pipeline calls an event."""
    for text in texts():
        event = json.loads(text)
        assert list(event) == ["event_id", "timestamp", "domain", "event_type", "data"]
        assert UUID.fullmatch(event["event_id"])
        assert isinstance(event["data"], dict)
        assert "\n" not in text


def test_documents_are_about_260_bytes_long() -> None:
    """Benchmarks of 10 M events mean the same amount of data as before."""
    mean = sum(len(text.encode()) for text in texts()) / EVENTS
    assert 240 < mean < 285


def test_event_ids_are_unique_and_depend_on_the_seed() -> None:
    """Different numbers never share an id, and another seed shares none."""
    numbers = np.arange(100_000)
    ids = set(event_ids(1, numbers))
    assert len(ids) == 100_000
    assert not ids & set(event_ids(2, numbers))


def test_times_and_destinations_are_pinned() -> None:
    """The same seed gives the same events in years to come.

    Payloads are left out, for a new Faker may bring new words.
    """
    routed = [text[: text.index(',"data":')] for text in texts()]
    digest = hashlib.sha256("\n".join(routed).encode()).hexdigest()
    assert digest == "8c923423f84daf285f89370b47a846c727b2b56b94e446fed2e50dab262a392a"


def test_timestamps_are_the_instants_of_the_versions() -> None:
    """All styles, also with another local date, give the day and second that were meant.

    So do the destinations by day that tests and benchmarks count on.
    """
    made = versions(OPTIONS, 0, EVENTS)
    start = datetime.datetime(2021, 1, 1, tzinfo=datetime.timezone.utc)
    other_dates = 0
    rows = zip(texts(), made.day.tolist(), made.second.tolist(), strict=True)
    for text, day, second in rows:
        written = json.loads(text)["timestamp"]
        meant = start + datetime.timedelta(days=day, seconds=second)
        assert instant(written).replace(microsecond=0) == meant
        other_dates += not written.startswith(str(meant.date()))
    assert other_dates > 50


@pytest.mark.parametrize("spaced", [0.0, 0.3, 1.0])
def test_both_timestamp_styles_have_their_share(spaced: float) -> None:
    """Timestamps with a space have no zone; the others have a T and every ending."""
    options = OPTIONS._replace(spaced_timestamps=spaced)
    written = [json.loads(text)["timestamp"] for text in texts(options)]
    with_space = [text for text in written if " " in text]

    assert len(with_space) / EVENTS == pytest.approx(spaced, abs=0.03)
    forms = {re.sub(r"\d", "9", text[19:]) for text in with_space}
    assert forms == ({"", ".999", ".999999"} if spaced else set())
    if spaced < 1:
        endings = {text[19:].lstrip(".0123456789") for text in written if "T" in text}
        assert endings == {"Z", "", "+00:00", "+02:00", "-05:30", "+14:00", "+09:00"}


def test_exact_copies_are_the_first_version_byte_for_byte() -> None:
    """A copy is what a second delivery of the same line would be, whatever else is varied."""
    options = OPTIONS._replace(exact_copies=0.8, extra=0.5, other_day=0.0)
    made = versions(options, 0, EVENTS)
    lines = texts(options)
    new = np.flatnonzero(made.fate == NEW)
    copies = np.flatnonzero(made.fate == COPY).tolist()
    assert len(copies) > 300
    for row in copies:
        assert lines[row] == lines[new[made.id_number[row]]]


def test_ties_have_the_same_instant_and_another_payload() -> None:
    """They are conflicts that only the digest can decide; some write the instant differently."""
    options = OPTIONS._replace(ties=0.5)
    made = versions(options, 0, EVENTS)
    events = [json.loads(text) for text in texts(options)]
    new = np.flatnonzero(made.fate == NEW)
    rewritten = 0
    for row in np.flatnonzero(made.fate == TIE).tolist():
        first, tie = events[new[made.id_number[row]]], events[row]
        assert first["event_id"] == tie["event_id"]
        assert instant(first["timestamp"]) == instant(tie["timestamp"])
        assert first["data"] != tie["data"]
        rewritten += first["timestamp"] != tie["timestamp"]
    assert rewritten > 50


@pytest.mark.parametrize("extra", [0.0, 0.2, 1.0])
def test_unknown_fields_have_their_share(extra: float) -> None:
    """Events with a field the pipeline does not know occur as often as asked."""
    events = [json.loads(text) for text in texts(OPTIONS._replace(extra=extra))]
    assert sum(len(event) > 5 for event in events) / EVENTS == pytest.approx(extra, abs=0.03)


def test_payloads_hold_what_is_hard_to_keep_byte_for_byte() -> None:
    """A pipeline that rewrites payloads changes at least one of these, and a test notices."""
    data = "".join(text[text.index('"data":') :] for text in texts())
    assert re.search(r'"amount":\d+\.\d0,', data)  # trailing zero
    assert re.search(r":\d\.\d{20}\b", data)  # more digits than a float has
    assert re.search(r":\d+e2}", data)  # exponent
    assert '\\"' in data  # escaped quote
    assert "\\u00e9" in data  # escaped letter
    assert "\\ud83d\\udcb3" in data  # escaped surrogate pair
    assert "\\/" in data  # needless escape
    assert "\\\\" in data  # backslash
    assert "\u20ac" in data  # unescaped, not ASCII
    assert re.search("[\u4e00-\u9fff]", data)  # three bytes in UTF-8
    assert '{ "account": ' in data  # spaces; and the id is not always first
    assert '"tags":[]' in data  # empty list
    assert "[[0," in data  # list in a list
    assert '"previous":null' in data


def test_more_types_than_kinds_have_names_of_their_own() -> None:
    """Each type that was asked for is a destination of its own."""
    options = OPTIONS._replace(types=100, events=20_000)
    events = map(json.loads, texts(options))
    names = {(event["domain"], event["event_type"]) for event in events}
    assert len(names) == 100
    assert ("account", "status-change") in names
    assert ("account", "status-change-2") in names
