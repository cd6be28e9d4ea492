"""The ways in which an event can be broken, one function for each.

A broken event is a damaged version of an event that is also delivered intact, so a reader that lets
it pass damages a good row. Every broken line is one reject: nothing here leaves something that a
reader may well take for an event, such as a whole event with text after it.
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
        """The event as a JSON object on one line, fields without a text left out."""
        pairs = zip(self._fields, self, strict=True)
        return "{" + ",".join(f'"{name}":{text}' for name, text in pairs if text) + "}"


Fault: TypeAlias = Callable[[Fields, int], str]
"""Breaks an event; the number, any from 0, chooses between variants of the fault."""


def not_json(fields: Fields, variant: int) -> str:
    """A line of a log, as if two files had been mixed."""
    return f"ERROR {fields.timestamp[1:-1]} worker-{variant}: delivery of {fields.event_id} failed"


def truncated(fields: Fields, variant: int) -> str:
    """An object that stops somewhere, as if the writer had died."""
    text = fields.document()
    return text[: 1 + variant % (len(text) - 1)]


def invalid_utf8(fields: Fields, variant: int) -> str:
    """A byte that is not UTF-8, in the payload or in the domain.

    It is written as the surrogate that Python's ``surrogateescape`` turns into that byte.
    """
    if variant % 2:
        return fields._replace(data='{"name":"\udcff"}').document()
    return fields._replace(domain='"acc\udce9"').document()


def not_an_object(fields: Fields, variant: int) -> str:
    """A JSON string."""
    return fields.event_id


def bare_value(fields: Fields, variant: int) -> str:
    """JSON, but a number or a word."""
    return ("null", "42", "true", "-1.5e3")[variant % 4]


def missing_field(fields: Fields, variant: int) -> str:
    """An object without one of its fields."""
    return fields._replace(**{Fields._fields[variant % 5]: ""}).document()


def null_field(fields: Fields, variant: int) -> str:
    """Null where there should be a string."""
    return fields._replace(**{Fields._fields[variant % 4]: "null"}).document()


def wrong_type(fields: Fields, variant: int) -> str:
    """A number, a list or an object where there should be a string."""
    wrong = ("1", '["a"]', '{"a":1}', "false")[variant // 4 % 4]
    return fields._replace(**{Fields._fields[variant % 4]: wrong}).document()


def empty_event_id(fields: Fields, variant: int) -> str:
    """An event id without a character."""
    return fields._replace(event_id='""').document()


def bad_timestamp(fields: Fields, variant: int) -> str:
    """A timestamp that is none."""
    bad = ("", "yesterday", "2021-13-01T10:00:00Z", "2021-02-30 10:00:00", "2021-01-08T25:00:00Z")
    return fields._replace(timestamp=f'"{bad[variant % len(bad)]}"').document()


WELL_FORMED: Sequence[Fault] = (
    not_an_object,
    missing_field,
    null_field,
    wrong_type,
    empty_event_id,
    bad_timestamp,
)
"""Faults that leave the text JSON, so the event after it can be found in any framing."""

FAULTS: Mapping[str, Sequence[Fault]] = {
    "lines": (not_json, truncated, invalid_utf8, bare_value, *WELL_FORMED),
}
"""Faults by framing, where there are more than the well-formed ones."""


def break_event(fields: Fields, framing: str, variant: int) -> str:
    """Breaks an event in one of the ways that make sense in the framing.

    Args:
        fields: The event.
        framing: One of ``options.FRAMINGS``.
        variant: Any number from 0; chooses the fault and its variant.

    Returns:
        The broken text, on one line; to be encoded with ``surrogateescape``.
    """
    faults = FAULTS.get(framing, WELL_FORMED)
    return faults[variant % len(faults)](fields, variant // len(faults))
