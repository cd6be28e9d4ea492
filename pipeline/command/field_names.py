"""What a field that is missing may be called instead."""

import difflib
import re
import shlex
from collections.abc import Collection, Mapping, Sequence

import msgspec

from pipeline.input import fields
from pipeline.input.fields import OWN_NAMES, WHOLE, FieldMap, Path
from pipeline.input.records import FIELDS

# What others call our fields, in lower case and without what is neither letter nor digit; the more
# certain names come first.
_SYNONYMS: Mapping[str, Sequence[str]] = {
    "event_id": ("eventuuid", "eventguid", "id", "uuid", "guid", "messageid", "msgid", "eventkey"),
    "timestamp": (
        *("eventtime", "occurredat", "eventtimestamp", "time", "ts", "datetime", "createdat"),
        *("created", "date", "publishedat", "receivedat"),
    ),
    "domain": (
        *("eventdomain", "source", "service", "system", "application", "app", "namespace"),
        *("category", "topic", "product", "context"),
    ),
    "event_type": ("type", "eventname", "eventkind", "event", "name", "kind", "action"),
    "data": ("payload", "body", "attributes", "properties", "content", "details", "detail"),
}
_ALIKE = 0.75  # see `difflib.get_close_matches`
_NEITHER = re.compile(r"[^a-z0-9]")

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def hints(record: bytes, known: FieldMap = OWN_NAMES) -> dict[str, str]:
    """Returns, for each field that a record lacks, where it may be.

    Args:
        record: The record's bytes.
        known: Where the fields are looked for.

    Returns:
        The likely places, by field, as ``--fields`` has them: a name, or object.name. A field for
        which nothing seems right is not there.
    """
    members = _members(record)
    there = fields.take(members, known).values
    taken = {path[0] for path in known if path} & members.keys()
    outer = {_plain(name): (name,) for name in reversed(members) if name not in taken}
    inner = {
        _plain(name): (object_name, name)
        for object_name, value in members.items()
        for name in _members(bytes(value))
    }
    found: dict[str, Path] = {}
    # What is more certain comes first, for all fields: a name is that of one field only.
    for likely in (_own_name, _synonym, _alike):
        for field in FIELDS:
            if field not in there and field not in found and (plain := likely(field, outer)):
                found[field] = outer.pop(plain)
    for field in FIELDS:
        if field not in there and field not in found and _plain(field) in inner:
            found[field] = inner[_plain(field)]
    return {field: fields.shown_path(found[field]) for field in FIELDS if field in found}


def option(record: bytes, known: FieldMap = OWN_NAMES) -> str:
    """Returns the ``--fields`` to read a record with, as a shell takes it; "" if none is likely.

    Where no member seems to be `data`, it is the whole record; what else nobody can guess is left
    to fill in.

    Args:
        record: The record's bytes.
        known: Where the fields are looked for.
    """
    found = hints(record, known)
    there = fields.take(_members(record), known).values
    missing = [field for field in FIELDS if field not in there and field not in found]
    if missing == ["data"]:
        found["data"] = fields.shown_path(WHOLE)
        missing = []
    if not found:
        return ""
    kept = {field: path for field, path in known._asdict().items() if path != (field,)}
    paths = {field: fields.shown_path(path) for field, path in kept.items()} | found
    paths |= dict.fromkeys(missing, fields.UNKNOWN)
    return shlex.quote(",".join(f"{field}={paths[field]}" for field in FIELDS if field in paths))


def renaming(record: bytes) -> str:
    """Returns what to rename in a record that lacks fields; "" if that cannot be told."""
    names = [f"{name!r} to {field!r}" for field, name in hints(record).items()]
    return f"rename {', '.join(names)}" if names else ""


def _members(record: bytes) -> dict[str, msgspec.Raw]:
    try:
        return _MEMBERS.decode(record)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}


def _own_name(field: str, names: Collection[str]) -> str | None:
    """Returns the field's own name, if it is among some plain names."""
    return _plain(field) if _plain(field) in names else None


def _synonym(field: str, names: Collection[str]) -> str | None:
    """Returns the first of the field's synonyms that is among some plain names."""
    return next((name for name in _SYNONYMS[field] if name in names), None)


def _alike(field: str, names: Collection[str]) -> str | None:
    """Returns the one of some plain names that is mistyped for the field's."""
    return next(iter(difflib.get_close_matches(_plain(field), names, 1, cutoff=_ALIKE)), None)


def _plain(name: str) -> str:
    """Returns a name without case and punctuation: "eventid" for "event-ID"."""
    return _NEITHER.sub("", name.casefold())
