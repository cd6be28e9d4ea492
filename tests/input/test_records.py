import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.input.records import NESTING_LIMIT, Parsed, is_deeper, parse

EVENT = b'{"event_id":"a","timestamp":"t","domain":"d","event_type":"e","data":%b}'
NESTED = st.recursive(
    st.integers() | st.text(alphabet='[]{}"\\x', max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("[{x"), inner),
)


def depth(value: object) -> int:
    """Counts levels in the obvious way."""
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@given(NESTED, st.integers(0, 6))
def test_nesting_is_counted_in_values_not_in_strings(value: object, levels: int) -> None:
    """Brackets inside strings are no levels, whatever quotes are escaped in them."""
    assert is_deeper(json.dumps(value).encode(), levels) == (depth(value) > levels)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_nesting_up_to_the_limit_can_be_parsed(opening: str) -> None:
    """The limit is below what msgspec can do inside some other calls, on any Python."""
    closing = "]" if opening == "[" else "}"

    def nested(levels: int) -> bytes:
        return EVENT % (opening * levels + "1" + closing * levels).encode()

    def in_calls(calls: int) -> object:
        return in_calls(calls - 1) if calls else parse(nested(NESTING_LIMIT), True)

    assert isinstance(in_calls(300), Parsed)
    assert not is_deeper(nested(NESTING_LIMIT - 1), NESTING_LIMIT)
    assert is_deeper(nested(NESTING_LIMIT), NESTING_LIMIT)


@pytest.mark.parametrize(
    "data",
    [b"null", b"0", b'""', b"[]", b"{}", b"1.2345678901234567890123", b"0.1000", b"-0.0e-0",
     b"9" * 5000, b"1e99999", b'{ "b" : [ 1,\r\n2 ] , "b":"\\u00e9\\/" }',
     '"é\u2028\x7f"'.encode()],
)  # fmt: skip
def test_data_is_kept_byte_for_byte(data: bytes) -> None:
    """Any JSON value is data, null and scalars too, and no digit or space of it changes."""
    parsed = parse(EVENT % (b" " + data + b"\t"), True)
    assert isinstance(parsed, Parsed)
    assert bytes(parsed.event.data) == data


def test_texts_are_decoded() -> None:
    """Escapes in strings stand for characters, also for NUL and for those beyond 16 bits."""
    text = EVENT.replace(b'"a"', b'"\\u0000\\ud83d\\ude00\\n"').replace(b"domain", b"dom\\u0061in")
    parsed = parse(text % b"1", True)
    assert isinstance(parsed, Parsed)
    assert (parsed.event.event_id, parsed.event.domain) == ("\0\U0001f600\n", "d")


def test_extra_is_sorted_by_name_and_otherwise_as_delivered() -> None:
    """The same members in another order are the same event."""
    texts = [b'1,"w":0.10,"v":{ },"\\u00e9":[]', b'1,"\\u00e9":[],"v":{ },"w":0.10']
    parsed = [parse(EVENT % text, True) for text in texts]
    assert [one.extra for one in parsed if isinstance(one, Parsed)] == [
        '{"v":{ },"w":0.10,"é":[]}'
    ] * 2
