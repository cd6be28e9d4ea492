"""Rejects: why records are refused, and the dead letters written for them.

A dead letter is one JSON line that contains everything needed to find, fix and replay a record:
the run, the source file, the byte offset and length, the reason, a message that shows the value
and the rule it broke, and the raw bytes (``raw`` if they are UTF-8 text, else ``raw_base64``).
"""

import base64
from typing import Any, NamedTuple

import msgspec

from pipeline.framing.skipped import PREVIEW_BYTES

# What each reason means. docs/formats.md lists them, too.
REASONS = {
    "not-json": "the bytes are not one well-formed JSON value",
    "truncated": "the JSON value ends before it is complete",
    "not-an-object": "a JSON value, but not an object",
    "missing-field": "event_id, timestamp, domain, event_type or data is not there",
    "empty-field": "event_id, domain or event_type is the empty string",
    "wrong-type": "event_id, timestamp, domain or event_type is not a string",
    "bad-timestamp": "timestamp is not an ISO 8601 date and time",
    "invalid-utf8": "the bytes are not UTF-8",
    "too-large": "data and extra fields exceed the size limit of one event",
    "too-deep": "data or an extra field is nested deeper than 500 levels",
    "too-long": "domain or event_type does not fit the name of a partition folder",
    "breaks-contract": "data does not fulfil the JSON Schema of its type, see --contract",
    "truncated-file": "a compressed file ends before its end mark",
    "corrupt-file": "a compressed file cannot be decompressed further",
    "not-json-file": "the file is of another kind, which the message names",
}

# Of a longer record only the beginning is quoted; source, offset and length still say where all of
# it lies. Without a limit, one runaway record (a binary file, say) would be copied whole.
RAW_BYTES_LIMIT = 16 << 20


class Problem(NamedTuple):
    """Why a record is refused.

    Attributes:
        reason: A key of `REASONS`.
        message: The value and the rule it broke, for a person.
    """

    reason: str
    message: str


class Reject(NamedTuple):
    """One refused record.

    Attributes:
        source: The file it was read from.
        offset: How many bytes of the file (if it is compressed: of its content) lie before it.
        length: Its length in bytes.
        reason: A key of `REASONS`.
        message: The value and the rule it broke, for a person.
        raw: Its bytes as delivered.
    """

    source: str
    offset: int
    length: int
    reason: str
    message: str
    raw: bytes

    def dead_letter(self, run: str) -> bytes:
        """Returns the reject as one line of JSON, newline included."""
        raw = self.raw if len(self.raw) <= RAW_BYTES_LIMIT else self.raw[:PREVIEW_BYTES]
        letter: dict[str, Any] = {"run": run, **self._asdict()}
        try:
            letter["raw"] = raw.decode()
        except UnicodeDecodeError:
            del letter["raw"]
            letter["raw_base64"] = base64.b64encode(raw).decode()
        return msgspec.json.encode(letter) + b"\n"
