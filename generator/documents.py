"""Makes JSON texts of events."""

import datetime
import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from generator.draws import Draws, Keys, Numbers, Words, keys, words_of
from generator.faults import Fields, break_event
from generator.kinds import Subjects, kinds, payloads
from generator.layout import of_member
from generator.options import Options
from generator.versions import BROKEN, Versions

_DAY_SECONDS = 86_400
_SECOND_MICROS = 1_000_000
_EPOCH = datetime.date(1970, 1, 1).toordinal()

# The purposes of draws; any numbers will do that differ.
_FORM, _FRACTION, _FAULT, _ID_FRONT, _ID_BACK, _ENTITY = 11, 13, 14, 15, 16, 17

# The endings of timestamps with a T, most of them Z, and the offsets from UTC in seconds they mean.
_ZONES = ("Z",) * 10 + ("", "+00:00", "+02:00", "-05:30", "+14:00", "+09:00")
_ZONE_SECONDS = (0,) * 12 + (7_200, -19_800, 50_400, 32_400)

# Unknown members: their names and values.
_EXTRAS = (
    (("source", '"mobile-app"'),),
    (("source", '"batch"'), ("schema_version", "3")),
    (("trace", '{"id":"4bf92f35","sampled":true}'),),
    (("tags", r'["r\u00e9tro",null,1.50]'),),
    (),
)
_NO_EXTRA = len(_EXTRAS) - 1

# Members of payloads that are hard to analyse. "#" stands for a number that depends on the event.
_AWKWARD = (
    '"a.b":{"c":1}',
    '"a":{"b.c":2}',
    '"say \\"hi\\"":true',
    '"":"no name"',
    '"key-#":"#"',
    '"big":123456789012345678901234567890',
    '"tiny":-0.1e-400',
    '"mixed":[1,"2",null,true,{"x":[]},[],-0.0,1.50]',
    '"maybe":#',
    '"maybe":"#"',
    '"maybe":{"#":[#]}',
    '"empty":{"list":[],"object":{}}',
    f'"deep":{"[" * 100}{"]" * 100}',
    '"\\ud83d\\udcb3 é":"\\u20ac €"',
    f'"long":"{"x" * 5_000}"',
)


class Documents(NamedTuple):
    """Events as they are delivered, and what they mean; lists of equal length.

    Attributes:
        texts: JSON objects, each on one line, without the line's end. Broken ones may contain
            surrogates that stand for bytes that are not UTF-8: encode the texts with
            ``surrogateescape``.
        event_ids: Their event ids.
        data: Their payloads, on one line.
        extra: Their unknown members as the table keeps them; None if there are none.
    """

    texts: list[str]
    event_ids: list[str]
    data: list[str]
    extra: list[str | None]


def documents(options: Options, versions: Versions) -> Documents:
    """Makes the texts of events."""
    form = Draws(versions.key, _FORM)
    ids = event_ids(options.seed, versions.id_number)
    timestamps = _timestamps(options, versions, form)
    heads = _heads(options.types)[versions.kind].tolist()
    entity_key = keys(versions.entity, options.seed, _ENTITY)
    data = payloads(
        Subjects(versions.kind, versions.key, versions.entity, entity_key, versions.step),
        options.preset,
    )
    extra = np.where(form.hits(options.extra), form.below(_NO_EXTRA), _NO_EXTRA)
    for row in np.flatnonzero(form.hits(options.awkward)).tolist():
        data[row] = _with_awkward_member(data[row], int(versions.key[row]))
    delivered = words_of("".join(f',"{name}":{value}' for name, value in one) for one in _EXTRAS)
    kept = words_of(_as_column(options, dict(one)) for one in _EXTRAS)
    texts = [
        f'{{"event_id":"{event_id}","timestamp":"{timestamp}",{head}{payload}{more}}}'
        for event_id, timestamp, head, payload, more in zip(
            ids, timestamps, heads, data, delivered[extra].tolist(), strict=True
        )
    ]
    for row, fault in broken(options, versions):
        kind = kinds(options.types)[versions.kind[row]]
        fields = Fields(
            event_id=f'"{ids[row]}"',
            timestamp=f'"{timestamps[row]}"',
            domain=f'"{kind.domain}"',
            event_type=f'"{kind.event_type}"',
            data=data[row],
        )
        texts[row] = break_event(fields, options.framing, fault)
    return Documents(texts, ids, data, kept[extra].tolist())


def _as_column(options: Options, members: Mapping[str, str]) -> str | None:
    """Returns unknown members as the table keeps them: an object, sorted by name."""
    pairs = [f'"{name}":{of_member(options, members[name])}' for name in sorted(members)]
    return f"{{{','.join(pairs)}}}" if pairs else None


def broken(options: Options, versions: Versions) -> Sequence[tuple[int, int]]:
    """Returns which events are broken, and the number of the fault of each; see `faults`."""
    rows = np.flatnonzero(versions.fate == BROKEN)
    numbers = Draws(versions.key[rows], _FAULT).below(2**32)
    return list(zip(rows.tolist(), numbers.tolist(), strict=True))


def micros(options: Options, versions: Versions) -> Numbers:
    """Returns the instants of events in microseconds since 1970."""
    first_day = options.start.toordinal() - _EPOCH
    seconds = (first_day + versions.day) * _DAY_SECONDS + versions.second
    fractions = _fraction_micros()
    drawn = Draws(versions.time_key, _FRACTION).below(len(fractions))
    return seconds * _SECOND_MICROS + fractions[drawn]


def _with_awkward_member(payload: str, key: int) -> str:
    """Adds a member at the end of a JSON object."""
    member = _AWKWARD[key % len(_AWKWARD)].replace("#", str(key % 1_000_003))
    return f"{payload[:-1]},{member}}}"


def event_ids(seed: int, id_number: Numbers) -> list[str]:
    """Returns the event ids with these numbers, in the form of random UUIDs.

    Different numbers have different ids: the first 16 random digits are a one-to-one function of
    the number.
    """
    words = np.stack([keys(id_number, seed, _ID_FRONT), keys(id_number, seed, _ID_BACK)], axis=1)
    digits = np.frombuffer(words.astype(">u8").tobytes().hex().encode("ascii"), np.uint8)
    pattern = np.frombuffer(b"xxxxxxxx-xxxx-4xxx-axxx-xxxxxxxxxxxx", np.uint8)
    text = np.tile(pattern, (len(id_number), 1))
    text[:, pattern == ord("x")] = digits.reshape(-1, 32)[:, :30]
    joined = text.tobytes().decode("ascii")
    return [joined[at : at + 36] for at in range(0, len(joined), 36)]


def _timestamps(options: Options, versions: Versions, form: Draws) -> list[str]:
    """Returns the timestamps of events; `form` draws how each is written."""
    spaced = form.hits(options.spaced_timestamps)
    zone = np.where(spaced, _ZONES.index(""), form.below(len(_ZONES)))
    # A timestamp shows local time, which may be on the day before or after the one in UTC.
    local = versions.second + np.array(_ZONE_SECONDS, np.int64)[zone]
    day_shift, second = np.divmod(local, _DAY_SECONDS)
    return [
        f"{day}{separator}{clock}{fraction}{ending}"
        for day, separator, clock, fraction, ending in zip(
            _dates(options.start, options.days)[versions.day + day_shift + 1].tolist(),
            words_of(("T", " "))[spaced.astype(np.int64)].tolist(),
            _clock()[second].tolist(),
            _fractions(versions.time_key),
            words_of(_ZONES)[zone].tolist(),
            strict=True,
        )
    ]


def _fractions(time_key: Keys) -> list[str]:
    """Draws fractions of a second."""
    return Draws(time_key, _FRACTION).pick(_fraction_texts())


@functools.cache
def _fraction_micros() -> Numbers:
    """Returns fractions of a second in microseconds, in the order of `_fraction_texts`."""
    number = np.arange(2_500, dtype=np.int64)
    few = Draws(keys(number), _FRACTION).below(_SECOND_MICROS)
    return np.concatenate([np.arange(0, _SECOND_MICROS, 1_000), few, np.zeros(3_500, np.int64)])


@functools.cache
def _fraction_texts() -> Words:
    """Returns fractions of a second: half of them none, the others in milli- or microseconds."""
    number = _fraction_micros().tolist()
    millis, few = number[:1_000], number[1_000:3_500]
    texts = [f".{n // 1_000:03d}" for n in millis] + [f".{n:06d}" for n in few]
    return words_of([*texts, *[""] * 3_500])


@functools.cache
def _clock() -> Words:
    """Returns the time of day for each of its seconds."""
    return words_of(
        tuple(f"{h:02d}:{m:02d}:{s:02d}" for h in range(24) for m in range(60) for s in range(60))
    )


@functools.cache
def _dates(start: datetime.date, days: int) -> Words:
    """Returns the dates from the day before the first to the day after the last."""
    before = start.toordinal() - 1
    return words_of(
        tuple(datetime.date.fromordinal(before + n).isoformat() for n in range(days + 2))
    )


@functools.cache
def _heads(types: int) -> Words:
    """Returns the text between timestamp and payload for each kind."""
    return words_of(
        tuple(
            f'"domain":"{kind.domain}","event_type":"{kind.event_type}","data":'
            for kind in kinds(types)
        )
    )
