"""Contracts: JSON Schemas that the `data` of each type of events has to fulfil.

They lie in a folder, ``<domain>/<event_type>.json``, with names encoded as those of partitions. The
launcher reads them once; they travel to the workers as text, and each worker compiles them once.
Types without a schema are not checked. What is checked is any draft that jsonschema-rs knows, by
``$schema``, else 2020-12; references must stay within the schema.
"""

import functools
import importlib.util
import itertools
import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from pipeline import storage
from pipeline.errors import EventsiftError, shown
from pipeline.input.rejects import Problem

WARN, REJECT, FAIL = "warn", "reject", "fail"
# What becomes of an event that breaks its contract: it is counted; it is rejected; it is rejected,
# and nothing of the run is published.
MODES = (WARN, REJECT, FAIL)

_ENDING = ".json"
# Of an event that breaks many rules, these are counted.
_RULES_LIMIT = 10
# Different breaches of a block that are told apart; a payload may invent names without end.
_BREACHES_LIMIT = 1000
_OTHER_PATH = "…"
# The rule where nobody can tell which it is.
_UNTOLD = "unknown"
_MESSAGE_CHARACTERS = 200
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


class ContractError(EventsiftError):
    """The folder has no schemas that can be used."""


class Schema(NamedTuple):
    """The contract of one type of events: a JSON Schema as text."""

    domain: str
    event_type: str
    text: str


class Contract(NamedTuple):
    """The contracts of a run.

    Attributes:
        mode: One of `MODES`.
        schemas: Those of all types, in order.
    """

    mode: str
    schemas: tuple[Schema, ...]


class Breach(NamedTuple):
    """A rule that events of a type break at a place in their data.

    Attributes:
        domain: The type's domain.
        event_type: Its event_type.
        path: Where, as a JSON path; ``[*]`` stands for any element of an array.
        rule: The keyword of the schema, such as `required`.
    """

    domain: str
    event_type: str
    path: str
    rule: str


class Broken(NamedTuple):
    """How often a rule was broken.

    Attributes:
        events: Events that break it.
        example: What is said of one of them; the first in the order of texts, so that it does not
            depend on who is read first.
    """

    events: int
    example: str


Breaches = dict[Breach, Broken]


def add(found: Breaches, more: Mapping[Breach, Broken]) -> None:
    """Adds breaches to those found before."""
    for breach, (events, example) in more.items():
        before = found.get(breach)
        if before:
            found[breach] = Broken(before.events + events, min(before.example, example))
        else:
            found[breach] = Broken(events, example)


def is_installed() -> bool:
    """Tells whether the extra that checks contracts is there."""
    return importlib.util.find_spec("jsonschema_rs") is not None


def read(folder: str, mode: str) -> Contract:
    """Reads the contracts in a folder.

    Args:
        folder: Its path or URI.
        mode: One of `MODES`.

    Raises:
        ContractError: There is none, or one cannot be used.
        OSError: The folder or a file in it cannot be read.
    """
    folder = storage.absolute(folder)
    schemas: dict[tuple[str, str], str] = {}
    paths = [file.path for file in storage.list_files(folder) if file.path.endswith(_ENDING)]
    for path, content in zip(paths, storage.each(storage.read_bytes, paths, folder), strict=True):
        kind = _kind_of(path, folder)
        if kind in schemas:
            raise ContractError(f"{path}: there are two schemas of {'/'.join(kind)}")
        try:
            schemas[kind] = content.decode()
            _compiled(schemas[kind])
        except ValueError as error:
            why = _one_line(getattr(error, "message", str(error)))
            raise ContractError(f"{path}: not a JSON Schema that can be used: {why}") from error
    if not schemas:
        raise ContractError(
            f"--contract {folder}: no schema is there; they are called DOMAIN/EVENT_TYPE.json"
        )
    return Contract(mode, tuple(Schema(*kind, text) for kind, text in sorted(schemas.items())))


def _kind_of(path: str, folder: str) -> tuple[str, str]:
    """Returns the type whose contract a file is, by its path."""
    from pipeline.keys import partitions  # it needs numpy and pyarrow, `--help` needs neither

    names = path[len(folder.rstrip("/")) + 1 : -len(_ENDING)].split("/")
    try:
        domain, event_type = map(partitions.decode, names)
    except ValueError as error:  # not two names, or not UTF-8
        raise ContractError(
            f"{path}: contracts are called DOMAIN/EVENT_TYPE.json in the folder, with names encoded"
            " as those of partitions"
        ) from error
    return domain, event_type


class Checker:
    """Checks the events of a block against a contract, and counts what they break.

    Attributes:
        refuses: Whether events that break it are rejected.
        breaches: What was broken.
        checked: How many events were checked.
        broken: How many of these break a rule.
    """

    def __init__(self, contract: Contract) -> None:
        self.refuses = contract.mode != WARN
        self.breaches: Breaches = {}
        self.checked = self.broken = 0
        self._validators = _validators(contract.schemas)

    def knows(self, kind: tuple[str, str]) -> bool:
        """Tells whether a type of events has a contract."""
        return kind in self._validators

    def check(
        self, kind: tuple[str, str], payloads: Sequence[bytes | msgspec.Raw]
    ) -> dict[int, Problem]:
        """Returns what is wrong with some payloads of a type that has a contract, by index."""
        validator = self._validators[kind]
        found: dict[int, Problem] = {}
        self.checked += len(payloads)
        for row, payload in enumerate(payloads):
            value = _decoded(payload)
            if not validator.is_valid(value):
                found[row] = self._told(kind, validator, value)
        self.broken += len(found)
        return found

    def _told(self, kind: tuple[str, str], validator: Any, value: Any) -> Problem:
        """Counts what a payload breaks; returns what is wrong with it."""
        own: Breaches = {}
        errors = _errors(validator, value)
        for path, rule, message in errors[:_RULES_LIMIT]:
            breach = Breach(*kind, _json_path(path, any_element=True), rule)
            if breach not in self.breaches and len(self.breaches) >= _BREACHES_LIMIT:
                breach = breach._replace(path=_OTHER_PATH)
            own.setdefault(breach, Broken(1, message))
        add(self.breaches, own)
        path, rule, message = errors[0]
        others = f"; and {len(errors) - 1:,} more" if len(errors) > 1 else ""
        if len(errors) > _RULES_LIMIT:
            others = f"; and {_RULES_LIMIT - 1:,} or more others"
        where = f"data at {_json_path(path)} breaks {rule!r} of {'/'.join(kind)}"
        return Problem("breaks-contract", f"{where}: {message}{others}")


def _errors(validator: Any, value: Any) -> list[tuple[list[str | int], str, str]]:
    """Returns path, rule and message of what a value breaks; a few, if there are many."""
    try:
        return [
            (list(error.instance_path), error.kind.name, _one_line(error.message))
            for error in itertools.islice(validator.iter_errors(value), _RULES_LIMIT + 1)
        ]
    except ValueError as error:  # nested deeper than jsonschema-rs can tell about
        return [([], _UNTOLD, _one_line(str(error)))]


def _json_path(steps: Sequence[str | int], any_element: bool = False) -> str:
    """Returns a place as a JSON path (RFC 9535)."""
    path = "$"
    for step in steps:
        if isinstance(step, int):
            path += "[*]" if any_element else f"[{step}]"
        elif _PLAIN_NAME.fullmatch(step):
            path += f".{step}"
        else:
            path += f"[{json.dumps(step, ensure_ascii=False)}]"
    return path


def _one_line(text: str) -> str:
    """Returns a message in one line, its middle cut if it is long."""
    line = " ".join(text.split())
    if len(line) <= _MESSAGE_CHARACTERS:
        return line
    return f"{line[: _MESSAGE_CHARACTERS // 2]}…{line[-_MESSAGE_CHARACTERS // 2 :]}"


@functools.lru_cache(maxsize=4)
def _validators(schemas: tuple[Schema, ...]) -> dict[tuple[str, str], Any]:
    """Compiles schemas; a worker does it once."""
    return {(domain, event_type): _compiled(text) for domain, event_type, text in schemas}


def _compiled(text: str) -> Any:
    """Compiles a schema.

    Raises:
        ValueError: It is none, or refers to another document.
    """
    import jsonschema_rs  # an extra

    return jsonschema_rs.validator_for(json.loads(text), retriever=_nowhere)


def _nowhere(uri: str) -> Any:
    raise ValueError(f"{shown(uri)} is another document; put what it defines under $defs")


def _decoded(payload: bytes | msgspec.Raw) -> Any:
    """Returns the value of JSON text; numbers beyond all limits become the nearest within them."""
    try:
        return msgspec.json.decode(payload)
    except msgspec.MsgspecError:
        return json.loads(bytes(payload), parse_float=_limited, parse_int=_limited)


def _limited(number: str) -> float:
    largest = sys.float_info.max
    return max(-largest, min(largest, float(number)))
