"""The ways in which an event can be broken: one function each, which returns the broken text.

A broken event is a damaged version of an event that is also delivered intact, so a reader that lets
it pass damages a good row. Every broken event is exactly one reject: no fault leaves something that
a reader may rightly take for an event, such as a whole event with text after it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias


class Fields(NamedTuple):
    """An event's fields as JSON texts: a string includes its quotes, ``data`` its braces."""

    event_id: str
    timestamp: str
    domain: str
    event_type: str
    data: str

    def document(self) -> str:
        """Returns the event as a JSON object on one line; fields whose text is "" are left out."""
        pairs = zip(self._fields, self, strict=True)
        return "{" + ",".join(f'"{name}":{text}' for name, text in pairs if text) + "}"


# Breaks an event; the number, any from 0, chooses between variants of the fault.
Fault: TypeAlias = Callable[[Fields, int], str]


def not_json(fields: Fields, variant: int) -> str:
    """Returns a line of a log, as if two files had been mixed."""
    return f"ERROR {fields.timestamp[1:-1]} worker-{variant}: delivery of {fields.event_id} failed"


def truncated(fields: Fields, variant: int) -> str:
    """Returns an object that stops somewhere, as if the writer had died.

    It does not stop where the next line, an object, could go on with it: where a value must follow,
    or after the first bracket. Nor in a number's sign, point or exponent, which would be not JSON.
    """
    text = fields.document()
    return text[: 2 + variant % (len(text) - 2)].rstrip(" ,:[-.e")


def invalid_utf8(fields: Fields, variant: int) -> str:
    """Returns an object with a byte that is not UTF-8, in the payload or in the domain.

    The text has the surrogate that Python's ``surrogateescape`` turns into that byte.
    """
    if variant % 2:
        return fields._replace(data='{"name":"\udcff"}').document()
    return fields._replace(domain='"acc\udce9"').document()


def not_an_object(fields: Fields, variant: int) -> str:
    """Returns a JSON string."""
    return fields.event_id


def bare_value(fields: Fields, variant: int) -> str:
    """Returns JSON that is only a number or a word."""
    return ("null", "42", "true", "-1.5e3")[variant % 4]


def missing_field(fields: Fields, variant: int) -> str:
    """Returns an object without one of its fields."""
    return fields._replace(**{Fields._fields[variant % 5]: ""}).document()


def null_field(fields: Fields, variant: int) -> str:
    """Returns an object with null where a string should be."""
    return fields._replace(**{Fields._fields[variant % 4]: "null"}).document()


def wrong_type(fields: Fields, variant: int) -> str:
    """Returns an object with a value of another type where a string should be."""
    wrong = ("1", '["a"]', '{"a":1}', "false")[variant // 4 % 4]
    return fields._replace(**{Fields._fields[variant % 4]: wrong}).document()


def empty_event_id(fields: Fields, variant: int) -> str:
    """Returns an object whose event id is the empty string."""
    return fields._replace(event_id='""').document()


def bad_timestamp(fields: Fields, variant: int) -> str:
    """Returns an object whose timestamp cannot be read."""
    bad = ("", "yesterday", "2021-13-01T10:00:00Z", "2021-02-30 10:00:00", "2021-01-08T25:00:00Z")
    return fields._replace(timestamp=f'"{bad[variant % len(bad)]}"').document()


def too_deep(fields: Fields, variant: int) -> str:
    """Returns an object whose payload is nested deeper than a table keeps."""
    levels = 501 + variant % 100
    return fields._replace(data="[" * levels + "]" * levels).document()


def too_long(fields: Fields, variant: int) -> str:
    """Returns an object whose domain or event type does not fit the name of a folder."""
    name = ("domain", "event_type")[variant % 2]
    return fields._replace(**{name: f'"{"x" * (300 + variant % 100)}"'}).document()


# Faults that leave the text JSON, so the event after it can be found in any framing.
WELL_FORMED: Sequence[Fault] = (
    not_an_object,
    missing_field,
    null_field,
    wrong_type,
    empty_event_id,
    bad_timestamp,
    too_long,
    too_deep,
)

# All faults of the framings that do not have just the well-formed ones.
FAULTS: Mapping[str, Sequence[Fault]] = {
    "lines": (not_json, truncated, invalid_utf8, bare_value, *WELL_FORMED),
    # Indented, a deep payload would take megabytes.
    "pretty": WELL_FORMED[:-1],
}

# Why each is rejected: the reason in its dead letter.
REASONS: Mapping[Fault, str] = {
    not_json: "not-json",
    truncated: "truncated",
    invalid_utf8: "invalid-utf8",
    bare_value: "not-an-object",
    not_an_object: "not-an-object",
    missing_field: "missing-field",
    null_field: "wrong-type",
    wrong_type: "wrong-type",
    empty_event_id: "empty-field",
    bad_timestamp: "bad-timestamp",
    too_long: "too-long",
    too_deep: "too-deep",
}


def break_event(fields: Fields, framing: str, variant: int) -> str:
    """Breaks an event in one of the ways that make sense in the framing.

    Args:
        fields: The event.
        framing: One of ``options.FRAMINGS``.
        variant: Any number from 0; chooses the fault and its variant.

    Returns:
        The broken text, on one line; encode it with ``surrogateescape``.
    """
    fault, variant = _chosen(framing, variant)
    return fault(fields, variant)


def reason(framing: str, variant: int) -> str:
    """Returns why an event is rejected that `break_event` has broken."""
    return REASONS[_chosen(framing, variant)[0]]


def _chosen(framing: str, variant: int) -> tuple[Fault, int]:
    faults = FAULTS.get(framing, WELL_FORMED)
    return faults[variant % len(faults)], variant // len(faults)
