"""The vocabularies that payloads are made of, taken from Faker once.

Faker makes some ten thousand names a second; a delivery needs a million words a second. So a few
thousand of each are made at the start and picked from afterwards.

All vocabularies are JSON texts ready to be put into a payload. They are the same for every seed,
which decides what is picked. Faker is always asked after seeding, and never for anything that
depends on today's date (birthdays, card expiry).
"""

import functools
import json
import random
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from generator.draws import Words

if TYPE_CHECKING:
    from faker import Faker

_SIZE = 2_000
_SEED = 2021
# Besides en_US, which has no letter outside ASCII.
_FOREIGN = ("de_DE", "fr_FR", "pl_PL", "ja_JP")


def plain(value: object) -> str:
    """JSON without spaces, other than ASCII characters as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def escaped(value: object) -> str:
    """JSON as many libraries write it: spaces, and other than ASCII characters as escapes."""
    return json.dumps(value)


@functools.cache
def vocabularies() -> Mapping[str, Words]:
    """Every vocabulary by its name: JSON texts, some occurring several times, more often picked."""
    from faker import Faker

    def faker_of(locale: str) -> Faker:
        faker = Faker(locale, use_weighting=False)  # picking by frequency takes ten times as long
        faker.seed_instance(_SEED)
        return faker

    return {name: _words(texts) for name, texts in _texts(faker_of)}


def _words(texts: Iterable[str]) -> Words:
    words = list(texts)
    column = np.empty(len(words), np.object_)
    column[:] = words
    return column


def _texts(faker_of: "Callable[[str], Faker]") -> Iterable[tuple[str, Iterable[str]]]:
    faker = faker_of("en_US")
    chance = random.Random(_SEED)
    number = chance.randrange

    def several(make: Callable[[], str], size: int = _SIZE) -> Iterable[str]:
        faker.seed_instance(_SEED)
        chance.seed(_SEED)
        return [make() for _ in range(size)]

    people = [faker.name] * 8 + [faker_of(locale).name for locale in _FOREIGN]

    def person() -> str:
        style = escaped if number(3) == 0 else plain
        return style(people[number(len(people))]())

    def amount() -> str:
        # Trailing zeros are kept, as money is written; small amounts are the common ones.
        whole = number(10 ** number(1, 6))
        return f"{whole}.{number(100):02d}" if number(4) else f"{whole}.{number(10)}0"

    def rate() -> str:
        digits = (2, 4, 4, 6, 20)[number(5)]
        return f"{number(3)}.{number(10**digits):0{digits}d}"

    def merchant() -> str:
        return plain({"name": faker.company(), "city": faker.city(), "mcc": f"{number(10**4):04d}"})

    def address() -> str:
        place = [faker.street_address(), faker.city(), faker.postcode()]
        return plain(dict(zip(("street", "city", "postcode"), place, strict=True)))

    def note() -> str:
        word, sentence = faker.word(), faker.sentence(4)
        notes = (
            "null",
            plain(sentence),
            plain(f'customer said "{word}"'),
            escaped(f"caf\u00e9 {word} \u2013 10 \u20ac"),
            plain(f"{word} \u2013 10 \u20ac\t{faker.last_name()}\n"),
            escaped(f"{word} \U0001f4b3"),
            plain(f"C:\\{word}\\"),
            f'"{word}\\/{word}"',
        )
        return notes[number(len(notes))]

    def changes(*states: str) -> Iterable[str]:
        return [f'"from":"{a}","to":"{b}"' for a in states for b in states if a != b]

    def tags() -> str:
        names = ["online", "travel", "contactless", "abroad", "recurring", "wallet"]
        return plain([names[number(len(names))] for _ in range(number(4))])

    def lines() -> str:
        skus = (f'{{"sku":"{number(10**5):05d}","price":{amount()}}}' for _ in range(number(3)))
        return ",".join(skus)

    yield "hex", [f"{n:04x}" for n in range(2**16)]
    yield "digits", [f"{n:04d}" for n in range(10**4)]
    yield "amount", several(amount, 10_000)
    yield "rate", several(rate)
    yield "person", several(person)
    yield "merchant", several(merchant)
    yield "address", several(address)
    yield "note", several(note)
    yield "iban", several(lambda: plain(faker.iban()))
    yield "email", several(lambda: plain(faker.ascii_safe_email()))
    yield "phone", several(lambda: plain(faker.phone_number()))
    yield "city", several(lambda: plain(faker.city()))
    yield "tags", several(tags, 200)
    yield "lines", several(lines)
    yield "currency", ["USD"] * 6 + ["EUR"] * 4 + ["GBP", "JPY", "PLN"]
    yield "account_change", changes("pending", "active", "frozen", "closed")
    yield "card_change", changes("ordered", "active", "blocked", "expired")
    yield "scheme", ["visa", "visa", "mastercard", "amex"]
    yield "channel", ["app", "web", "branch", "phone", "atm", "pos"]
    yield "decline", ["insufficient_funds", "expired_card", "suspected_fraud", "limit_exceeded"]
    yield "flag", ["true", "false"]
    yield "level", [str(n) for n in range(100)]
