"""The vocabularies that payloads are made of, taken from Faker once.

Faker makes some ten thousand names a second; a delivery needs a million words a second. So a few
thousand of each are made at the start and picked from afterwards.

All vocabularies are JSON texts, ready to be put into a payload. They are the same for every seed;
the seed decides which words are picked. Faker is seeded before it is asked, and never asked for
anything that depends on today's date (birthdays, card expiry).
"""

import functools
import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from generator.draws import Words, words_of

if TYPE_CHECKING:
    from faker import Faker

_SIZE = 2_000
_SEED = 2021
# Besides en_US, whose names have no letter outside ASCII.
_FOREIGN = ("de_DE", "fr_FR", "pl_PL", "ja_JP")


def plain(value: object) -> str:
    """Returns compact JSON, with characters outside ASCII as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def escaped(value: object) -> str:
    """Returns JSON as many libraries write it: spaces, and characters outside ASCII as escapes."""
    return json.dumps(value)


@functools.cache
def vocabularies() -> Mapping[str, Words]:
    """Returns every vocabulary by its name; a word that is in it twice is picked twice as often."""
    return {name: words_of(texts) for name, texts in _vocabularies(_Maker())}


def _vocabularies(make: "_Maker") -> Iterable[tuple[str, Iterable[str]]]:
    """Yields the name and the words of each vocabulary."""
    faker = make.faker
    yield "hex", [f"{n:04x}" for n in range(2**16)]
    yield "digits", [f"{n:04d}" for n in range(10**4)]
    yield "amount", make.several(make.amount, 10_000)
    yield "rate", make.several(make.rate)
    yield "person", make.several(make.person)
    yield "address", make.several(make.address)
    yield "note", make.several(make.note)
    yield "iban", make.several(lambda: plain(faker.iban()))
    yield "email", make.several(lambda: plain(faker.ascii_safe_email()))
    yield "phone", make.several(lambda: plain(faker.phone_number()))
    yield "city", make.several(lambda: plain(faker.city()))
    yield "tags", make.several(make.tags, 200)
    yield "lines", make.several(make.lines)
    yield "currency", ["USD"] * 6 + ["EUR"] * 4 + ["GBP", "JPY", "PLN"]
    yield (
        "account_change",
        _changes(
            ("old_status", "new_status"), "ACTIVE", "SUSPENDED", "SUSPENDED", "SUSPENDED", "FROZEN"
        ),
    )
    yield "card_change", _changes(("from", "to"), "active", "blocked", "lost", "locked")
    yield "opening", make.several(make.opening)
    yield "ending", make.several(make.ending)
    merchants = make.several(make.merchant)
    yield "merchant", merchants
    yield "popular_merchant", _popular(merchants)
    yield "scheme", ["visa", "visa", "mastercard", "amex"]
    yield "channel", ["app", "web", "branch", "phone", "atm", "pos"]
    yield "decline", ["insufficient_funds", "expired_card", "suspected_fraud", "limit_exceeded"]
    yield "flag", ["true", "false"]
    yield "level", [str(n) for n in range(100)]


def _changes(members: tuple[str, str], usual: str, *others: str) -> Iterable[str]:
    """Returns for each other state how it is entered and left, as members of an object."""
    before, after = members
    return [
        f'"{before}":"{old}","{after}":"{new}"'
        for other in others
        for old, new in ((usual, other), (other, usual))
    ]


def _popular(words: Sequence[str]) -> Iterable[str]:
    """Returns the words by Zipf's law: the second half as often as the first, and so on."""
    return [word for rank, word in enumerate(words, 1) for _ in range(-(-len(words) // rank))]


def _faker_of(locale: str) -> "Faker":
    from faker import Faker

    faker = Faker(locale, use_weighting=False)  # picking by frequency takes ten times as long
    faker.seed_instance(_SEED)
    return faker


class _Maker:
    """Makes words: JSON texts, with Faker and random numbers."""

    def __init__(self) -> None:
        self.faker = _faker_of("en_US")
        self._random = random.Random(_SEED)
        self._number = self._random.randrange
        self._people = [self.faker.name] * 8 + [_faker_of(locale).name for locale in _FOREIGN]

    def several(self, make: Callable[[], str], size: int = _SIZE) -> Sequence[str]:
        """Makes this many words, the same ones whatever was made before."""
        self.faker.seed_instance(_SEED)
        self._random.seed(_SEED)
        return [make() for _ in range(size)]

    def person(self) -> str:
        """Makes a name, every third one with escapes."""
        style = escaped if self._number(3) == 0 else plain
        return style(self._people[self._number(len(self._people))]())

    def amount(self) -> str:
        """Makes an amount of money with its trailing zeros; small ones are the common ones."""
        whole = self._number(10 ** self._number(1, 6))
        if self._number(4):
            return f"{whole}.{self._number(100):02d}"
        return f"{whole}.{self._number(10)}0"

    def rate(self) -> str:
        """Makes a number with up to 20 digits after the point."""
        digits = (2, 4, 4, 6, 20)[self._number(5)]
        return f"{self._number(3)}.{self._number(10**digits):0{digits}d}"

    def merchant(self) -> str:
        """Makes an object."""
        name, city = self.faker.company(), self.faker.city()
        return plain({"name": name, "city": city, "mcc": f"{self._number(10**4):04d}"})

    def opening(self) -> str:
        """Makes the first words of a sentence, without quotes."""
        return self.faker.sentence(3, variable_nb_words=False).removesuffix(".")

    def ending(self) -> str:
        """Makes the last words of a sentence, without quotes."""
        return self.faker.sentence(3).lower()

    def address(self) -> str:
        """Makes an object."""
        street, city = self.faker.street_address(), self.faker.city()
        return plain({"street": street, "city": city, "postcode": self.faker.postcode()})

    def note(self) -> str:
        """Makes a text, or null: with quotation marks, backslashes, escapes of every kind."""
        word, sentence = self.faker.word(), self.faker.sentence(4)
        notes = (
            "null",
            plain(sentence),
            plain(f'customer said "{word}"'),
            escaped(f"caf\u00e9 {word} \u2013 10 \u20ac"),
            plain(f"{word} \u2013 10 \u20ac\t{self.faker.last_name()}\n"),
            escaped(f"{word} \U0001f4b3"),
            plain(f"C:\\{word}\\"),
            f'"{word}\\/{word}"',
        )
        return notes[self._number(len(notes))]

    def tags(self) -> str:
        """Makes a list, sometimes an empty one."""
        names = ["online", "travel", "contactless", "abroad", "recurring", "wallet"]
        return plain([names[self._number(len(names))] for _ in range(self._number(4))])

    def lines(self) -> str:
        """Makes objects separated by commas, sometimes none."""
        return ",".join(
            f'{{"sku":"{self._number(10**5):05d}","price":{self.amount()}}}'
            for _ in range(self._number(3))
        )
