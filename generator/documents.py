"""Makes JSON texts of events."""

import datetime
import functools

import numpy as np

from generator.draws import Draws, Keys, Numbers, Words, keys, words_of
from generator.faults import Fields, break_event
from generator.kinds import kinds, payloads
from generator.options import Options
from generator.versions import BROKEN, Versions

_DAY_SECONDS = 86_400

# The purposes of draws; any numbers will do that differ.
_FORM, _PAYLOAD, _FRACTION, _FAULT, _ID_FRONT, _ID_BACK = 11, 12, 13, 14, 15, 16

# The endings of timestamps with a T, most of them Z, and the offsets from UTC in seconds they mean.
_ZONES = ("Z",) * 10 + ("", "+00:00", "+02:00", "-05:30", "+14:00", "+09:00")
_ZONE_SECONDS = (0,) * 12 + (7_200, -19_800, 50_400, 32_400)

_EXTRAS = (
    ',"source":"mobile-app"',
    ',"source":"batch","schema_version":3',
    ',"trace":{"id":"4bf92f35","sampled":true}',
    ',"tags":["r\\u00e9tro",null,1.50]',
)


def documents(options: Options, versions: Versions) -> list[str]:
    """Returns events as JSON objects, each on one line, without the line's end.

    Broken ones may contain surrogates that stand for bytes that are not UTF-8: encode the texts
    with ``surrogateescape``.
    """
    form = Draws(versions.key, _FORM)
    ids = event_ids(options.seed, versions.id_number)
    timestamps = _timestamps(options, versions, form)
    heads = _heads(options.types)[versions.kind].tolist()
    data = payloads(versions.kind, lambda rows: Draws(versions.key[rows], _PAYLOAD))
    extras = np.where(form.hits(options.extra), words_of(_EXTRAS)[form.below(len(_EXTRAS))], "")
    texts = [
        f'{{"event_id":"{event_id}","timestamp":"{timestamp}",{head}{payload}{extra}}}'
        for event_id, timestamp, head, payload, extra in zip(
            ids, timestamps, heads, data, extras.tolist(), strict=True
        )
    ]

    broken = np.flatnonzero(versions.fate == BROKEN)
    faults = Draws(versions.key[broken], _FAULT).below(2**32)
    for row, fault in zip(broken.tolist(), faults.tolist(), strict=True):
        kind = kinds(options.types)[versions.kind[row]]
        fields = Fields(
            event_id=f'"{ids[row]}"',
            timestamp=f'"{timestamps[row]}"',
            domain=f'"{kind.domain}"',
            event_type=f'"{kind.event_type}"',
            data=data[row],
        )
        texts[row] = break_event(fields, options.framing, fault)
    return texts


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
def _fraction_texts() -> Words:
    """Returns fractions of a second: half of them none, the others in milli- or microseconds."""
    number = np.arange(2_500, dtype=np.int64)
    micros = Draws(keys(number), _FRACTION).below(1_000_000).tolist()
    millis = [f".{n:03d}" for n in range(1_000)]
    return words_of((*millis, *(f".{n:06d}" for n in micros), *("",) * 3_500))


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
