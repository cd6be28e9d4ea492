import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.input.timestamps import explain, parse
from tests import oracle

# 2021-01-08T10:00:00Z in microseconds; the cases below are told by their distance from it.
BASE = 1_610_100_000_000_000
MINUTE = 60_000_000
HOUR = 60 * MINUTE
FIRST = -62_135_596_800_000_000  # 0001-01-01T00:00:00Z
LAST = 253_402_300_799_000_000  # 9999-12-31T23:59:59Z

VALID = [
    # text, micros, nanos
    ("2021-01-08T10:00:00Z", BASE, 0),
    ("2021-01-08T10:00:00z", BASE, 0),
    ("2021-01-08t10:00:00Z", BASE, 0),
    ("2021-01-08 10:00:00Z", BASE, 0),
    ("2021-01-08T10:00:00", BASE, 0),
    ("2021-01-08 10:00:00", BASE, 0),
    ("2021-01-08T10:00:00.5", BASE + 500_000, 0),
    ("2021-01-08T10:00:00,5Z", BASE + 500_000, 0),
    ("2021-01-08T10:00:00.000Z", BASE, 0),
    ("2021-01-08T10:00:00.123Z", BASE + 123_000, 0),
    ("2021-01-08 10:00:00.123456", BASE + 123_456, 0),
    ("2021-01-08T10:00:00.1234567Z", BASE + 123_456, 700),
    ("2021-01-08T10:00:00.123456789Z", BASE + 123_456, 789),
    ("2021-01-08T10:00:00.123456789999Z", BASE + 123_456, 789),
    ("2021-01-08T10:00:00.000000000" + "9" * 1000, BASE, 0),
    ("2021-01-08T11:30:00+01:30", BASE, 0),
    ("2021-01-08T11:30:00+0130", BASE, 0),
    ("2021-01-08T11:00:00+01", BASE, 0),
    ("2021-01-08T08:30:00-01:30", BASE, 0),
    ("2021-01-08T08:30:00.25-0130", BASE + 250_000, 0),
    ("2021-01-08T09:00:00,25-01", BASE + 250_000, 0),
    ("2021-01-08T10:00:00.0000000019+00:00", BASE, 1),
    ("2021-01-08T10:00:00-00:00", BASE, 0),
    ("2021-01-08T10:00:00+23:59", BASE - 23 * HOUR - 59 * MINUTE, 0),
    ("2021-01-08T10:00:00-23:59", BASE + 23 * HOUR + 59 * MINUTE, 0),
    ("2021-01-07T23:00:00-11", BASE, 0),
    ("1970-01-01T00:00:00Z", 0, 0),
    ("1969-12-31T23:59:59Z", -1_000_000, 0),
    ("1969-12-31T23:59:59.9999999Z", -1, 900),
    ("1969-12-31T23:59:59.000000001Z", -1_000_000, 1),
    ("2000-02-29T00:00:00Z", 951_782_400_000_000, 0),
    ("2024-02-29T00:00:00Z", 1_709_164_800_000_000, 0),
    ("0001-01-01T00:00:00Z", FIRST, 0),
    ("0000-12-31T23:59:00-00:01", FIRST, 0),
    ("0001-01-01T23:59:00+23:59", FIRST, 0),
    ("9999-12-31T23:59:59Z", LAST, 0),
    ("9999-12-31T23:59:59.999999999Z", LAST + 999_999, 999),
    ("9999-12-31T00:00:59-23:59", LAST, 0),
]

FORM = "not of the form"
INVALID = [
    # text, part of the explanation
    ("", FORM),
    ("2021", FORM),
    ("Z", FORM),
    ("yesterday", FORM),
    ("1610100000", FORM),
    ("2021-01-08", "time of day is missing"),
    ("2021-02-30T00:00:00Z", "day is out of range for month"),
    ("2021-02-29T00:00:00Z", "day is out of range for month"),
    ("1900-02-29T00:00:00Z", "day is out of range for month"),
    ("2021-04-31T00:00:00Z", "day is out of range for month"),
    ("2021-01-00T00:00:00Z", "day is out of range for month"),
    ("2021-01-32T00:00:00Z", "day is out of range for month"),
    ("2021-00-08T00:00:00Z", "month is not in"),
    ("2021-13-08T00:00:00Z", "month is not in"),
    ("2021-01-08T24:00:00Z", "hour is not in"),
    ("2021-01-08T10:60:00Z", "minute is not in"),
    ("2016-12-31T23:59:60Z", "leap seconds"),
    ("2021-01-08T10:00:00+24:00", "offset"),
    ("2021-01-08T10:00:00-24", "offset"),
    ("2021-01-08T10:00:00+01:60", "offset"),
    ("2021-01-08T10:00:00+0160", "offset"),
    ("0000-12-31T23:59:59Z", "years 0001 to 9999"),
    ("0001-01-01T00:00:00+00:01", "years 0001 to 9999"),
    ("9999-12-31T23:59:59-00:01", "years 0001 to 9999"),
    ("2021-01-08T10:00Z", FORM),
    ("2021-01-08T10:00:00.Z", FORM),
    ("2021-01-08T10:00:00.", FORM),
    ("2021-01-08T10:00:00;5", FORM),
    ("2021-01-08T10:00:00:5Z", FORM),
    ("2021-01-08T10:00:00.12345678x", FORM),
    ("2021-01-08T10:00:00.123456789012x", FORM),
    ("2021-01-08T10:00:00.123456789012x3Z", FORM),
    ("2021-01-08T10:00:00.1 Z", FORM),
    ("2021-01-08T10:00:00 Z", FORM),
    ("2021-01-08T10:00:00 +01:00", FORM),
    ("2021-01-08T10:00:00ZZ", FORM),
    ("2021-01-08T10:00:00+", FORM),
    ("2021-01-08T10:00:00+1", FORM),
    ("2021-01-08T10:00:00+1:00", FORM),
    ("2021-01-08T10:00:00+01:", FORM),
    ("2021-01-08T10:00:00+01:0", FORM),
    ("2021-01-08T10:00:00+01:00Z", FORM),
    ("2021-01-08T10:00:00.12+0Z", FORM),
    ("2021-01-08T10:00:00+0/:00", FORM),
    ("2021-01-08T10:00:00+01x00", FORM),
    ("2021-01-08T10:00:00+01:0:", FORM),
    # Sums in one byte wrap round: J is 26 for a digit, and 26 * 10 + 4 would be hour 8.
    ("2021-01-08T10:00:00+J4:00", FORM),
    # The character after 9 must not count as a digit of ten.
    ("2021-01-08T10:00:0:Z", FORM),
    ("2021-01-08T0::00:00Z", FORM),
    ("2021-01-08T10:00:00\N{MINUS SIGN}01:00", FORM),
    ("2021-01-08  10:00:00", FORM),
    ("2021-01-08_10:00:00", FORM),
    ("2021/01/08T10:00:00Z", FORM),
    ("20210108T100000Z", FORM),
    ("21-01-08T10:00:00Z", FORM),
    ("+2021-01-08T10:00:00Z", FORM),
    ("12021-01-08T10:00:00Z", FORM),
    (" 2021-01-08T10:00:00Z", FORM),
    ("2021-01-08T10:00:00Z ", FORM),
    ("2021-01-08T10:00:00Z\n", FORM),
    ("2021-01-08T10:00:00\0", FORM),
    ("2021-W01-5T10:00:00Z", FORM),
    ("２０２１-01-08T10:00:00Z", FORM),
    ("2021-01-08T10:00:00.١Z", FORM),
    ("2021-01-08T10:00:00.12345678９Z", FORM),
    ("2021-01-08T10:00:00." + "1" * 10_000 + "x", FORM),
    ("2021-01-08T10:00:00" * 100, FORM),
    ("x" * 100_000, FORM),
]


def parsed(texts):
    """What `parse` says of each text, in the words of the oracle."""
    micros, nanos, valid = parse(pa.array(texts, pa.string()))
    rows = zip(micros.tolist(), nanos.tolist(), valid.tolist(), strict=True)
    return [(micro, nano) if ok else None for micro, nano, ok in rows]


def two_digits(limit):
    """Numbers of two digits up to a limit, seldom one beyond it."""
    return st.one_of(st.integers(0, limit), st.integers(0, 99)).map("{:02d}".format)


YEARS = st.one_of(st.integers(0, 9999), st.sampled_from([0, 1, 1969, 1970, 2000, 9999]))
ZONES = st.one_of(
    st.sampled_from(["", "Z", "z"]),
    st.tuples(st.sampled_from("+-"), two_digits(23), st.sampled_from(["", ":"]), two_digits(59)),
    st.tuples(st.sampled_from("+-"), two_digits(23)),
).map("".join)
FRACTIONS = st.one_of(
    st.just(""),
    st.tuples(st.sampled_from(".,"), st.text("0123456789", min_size=1, max_size=14)).map("".join),
)
TIMESTAMPS = st.tuples(
    *(YEARS.map("{:04d}".format), st.just("-"), two_digits(12), st.just("-"), two_digits(31)),
    st.sampled_from("Tt "),
    *(two_digits(23), st.just(":"), two_digits(59), st.just(":"), two_digits(59)),
    *(FRACTIONS, ZONES),
).map("".join)


@st.composite
def mutants(draw):
    """Timestamps with one to three characters replaced, put in or taken out."""
    text = draw(TIMESTAMPS)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        new = draw(st.sampled_from([*"0159:-+.,TtZz /;J\0\n", "", "é", "١"]))
        text = text[:at] + new + text[at + draw(st.integers(0, 1)) :]
    return text


ANY_TEXTS = st.lists(st.one_of(TIMESTAMPS, mutants(), st.text(max_size=40)), max_size=30)


@pytest.mark.parametrize(("text", "micros", "nanos"), VALID)
def test_reads_every_form_of_the_grammar(text, micros, nanos):
    """Each form that producers deliver names the instant that ISO 8601 says it does."""
    assert parsed([text]) == [(micros, nanos)]


@pytest.mark.parametrize(("text", "reason"), INVALID, ids=lambda text: text[:40])
def test_refuses_everything_else_and_says_why(text, reason):
    """What breaks a rule is never guessed at, and the dead letter names that rule."""
    assert parsed([text]) == [None]
    assert reason in explain(text)


def test_mixed_forms_in_one_column_do_not_disturb_each_other():
    """Rows are read by their own bytes only, whatever lies before and after them."""
    expected = [(micros, nanos) for _, micros, nanos in VALID] + [None] * len(INVALID)
    texts = [text for text, *_ in VALID + INVALID]
    order = np.random.default_rng(7).permutation(len(texts)).tolist()

    assert parsed([texts[i] for i in order]) == [expected[i] for i in order]


@given(ANY_TEXTS)
@example(["2021-01-08T10:00:00.123456789", "1", "2021-01-08T10:00:00"])
@example(["2021-01-08T10:00", ":00Z"])
def test_agrees_with_a_naive_reading(texts):
    """The vectorised reading means the same as a regular expression and datetime, row by row."""
    assert parsed(texts) == [oracle.instant(text) for text in texts]


@given(ANY_TEXTS, st.data())
def test_a_slice_is_read_like_a_copy_of_it(texts, data):
    """Offsets of sliced arrays count from the buffer's start: rows must not shift."""
    start = data.draw(st.integers(0, len(texts)))
    length = data.draw(st.integers(0, len(texts) - start))

    sliced = parse(pa.array(texts, pa.string()).slice(start, length))

    copied = parse(pa.array(texts[start : start + length], pa.string()))
    assert sliced.valid.tolist() == copied.valid.tolist()
    assert sliced.micros[sliced.valid].tolist() == copied.micros[copied.valid].tolist()
    assert sliced.nanos[sliced.valid].tolist() == copied.nanos[copied.valid].tolist()


@pytest.mark.parametrize(
    "texts",
    [
        pa.array([], pa.string()),
        pa.array(["2021-01-08T10:00:00Z"]).slice(1),
        pa.StringArray.from_buffers(0, pa.py_buffer(b""), pa.py_buffer(b"")),
        pa.array(["", "", ""]),
        pa.StringArray.from_buffers(2, pa.py_buffer(bytes(12)), pa.py_buffer(b"")),
    ],
    ids=["empty", "empty slice", "no buffers", "empty texts", "no content"],
)
def test_arrays_without_any_text(texts):
    """A block may have no events, and Arrow then leaves buffers out or empty."""
    micros, nanos, valid = parse(texts)

    assert (micros.dtype, nanos.dtype, valid.dtype) == (np.int64, np.int16, np.bool_)
    assert len(micros) == len(nanos) == len(valid) == len(texts)
    assert not valid.any()


def test_nothing_is_read_outside_unpadded_buffers():
    """Buffers from other libraries end with their last byte; rows at both ends must be whole."""
    content = b"2021-01-08T10:00:00.123456789+01:00"
    offsets = np.array([0, len(content)], np.int32)
    texts = pa.StringArray.from_buffers(1, pa.py_buffer(offsets), pa.py_buffer(content))

    micros, nanos, valid = parse(texts)

    assert valid.all()
    assert (micros[0], nanos[0]) == (BASE - HOUR + 123_456, 789)


@given(st.one_of(mutants(), TIMESTAMPS, st.text(max_size=30)))
def test_explain_shows_the_value_and_claims_nothing_false(text):
    """A dead letter shows what was delivered, and never faults a timestamp that is right."""
    sentence = explain(text)

    assert repr(text) in sentence or len(repr(text)) > 60
    assert ("no rule is broken" in sentence) == (oracle.instant(text) is not None)


def test_explain_is_short_for_long_values():
    """One runaway value must not make dead letters and logs unreadable."""
    sentence = explain("2021-01-08" + "x" * 1_000_000)

    assert sentence.startswith("timestamp '2021-01-08xxx")
    assert sentence.endswith("expected ISO 8601 like 2021-01-08T10:00:00.123Z")
    assert len(sentence) < 250
