"""The kinds of events: domains, event types, and what their payloads look like."""

import functools
import re
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from generator import lives
from generator.draws import Draws, Keys, Mask, Numbers
from generator.presets import PRESETS
from generator.words import vocabularies

# The purpose of draws; any number will do that no other module has.
_PAYLOAD = 12


class Kind(NamedTuple):
    """One kind of event.

    Attributes:
        domain: The domain, such as ``account``.
        event_type: The event type, such as ``status-change``.
        weight: How often it occurs, relative to the other kinds.
        payload: A JSON object in which ``<name>`` stands for a word of that vocabulary,
            ``<=name>`` for one that is the same in all events of the entity, and ``<id>`` for the
            entity's number.
    """

    domain: str
    event_type: str
    weight: int
    payload: str


# Between them, the payloads have all that is hard to keep byte for byte: spaces, nesting, lists,
# trailing zeros, escapes, exponents, the order of keys. In each payload, what is drawn for the
# event itself has a million values or more: two versions of an event are hardly ever alike.
_KINDS = (
    Kind("account", "status-change", 8,
         '{"id":<id>,<account_change>,"reason":"<opening> <ending>"}'),
    Kind("transaction", "authorized", 20,
         '{"id":"tx-<id>","amount":<=amount>,"currency":"<=currency>","card":"************<=digits>",'
         '"merchant":<=merchant>,"auth":"<hex><hex>"}'),
    Kind("card", "status-change", 7,
         '{"id":"card-<id>","card":"************<=digits>",<card_change>,"by":<person>,"note":<note>}'),
    Kind("customer", "registered", 5,
         '{"id":"C<id>","name":<=person>,"email":<email>,"phone":<phone>,"marketing":<flag>,'
         '"score":<level>}'),
    Kind("account", "opened", 5,
         '{"id":<id>,"account":<=iban>,"owner":<=person>,"currency":"<=currency>",'
         '"branch":{"code":"<digits>","city":<city>}}'),
    Kind("account", "balance-update", 10,
         '{ "account": <=iban>, "id": <id>, "balance": <amount>, "available": <amount>, '
         '"currency": "<=currency>" }'),
    Kind("account", "limit-change", 4,
         '{"limits":{"daily":{"from":<amount>,"to":<amount>},"atm":<level>e2},"by":<person>,'
         '"channel":"<channel>","id":<id>}'),
    Kind("card", "issued", 5,
         '{"id":"card-<id>","scheme":"<=scheme>","card":"************<=digits>","holder":<=person>,'
         '"virtual":<flag>,"features":<tags>,"batch":"<hex>"}'),
    Kind("card", "pin-change", 3,
         '{"id":"card-<id>","card":"************<=digits>","channel":"<channel>",'
         '"attempts":[<level>,<level>],"ok":<flag>,"ref":"<hex><hex><hex>"}'),
    Kind("transaction", "settled", 15,
         '{"id":"tx-<id>","amount":<=amount>,"currency":"<=currency>","rate":<rate>,'
         '"fee":-0.<digits>,"lines":[<lines>]}'),
    Kind("transaction", "reversed", 3,
         '{"original":"<hex><hex><hex>","id":"tx-<id>","amount":-<=amount>,"reason":<note>,"tags":[]}'),
    Kind("transaction", "declined", 7,
         '{"id":"tx-<id>","amount":<amount>,"merchant":<=merchant>,'
         '"decline":{"code":"<decline>","risk":0.<digits>}}'),
    Kind("customer", "address-change", 5,
         '{"id":"C<id>","address":<address>,"previous":null,"verified":<flag>,'
         '"contact":{"email":<email>}}'),
    Kind("merchant", "onboarded", 3,
         '{"id":<id>,"merchant":<=merchant>,"contact":{"name":<person>,"phone":<phone>},'
         '"fees":[[0,<rate>]]}'),
)  # fmt: skip

# The vocabularies of changes of status; see `lives.changes`.
_CHANGE = re.compile(r"\w+_change")


@functools.cache
def kinds(number: int) -> Sequence[Kind]:
    """Returns this many kinds; after the ones above, further event types of the same forms."""
    return [_kind(n) for n in range(number)]


def _kind(n: int) -> Kind:
    family, form = divmod(n, len(_KINDS))
    kind = _KINDS[form]
    return kind._replace(event_type=f"{kind.event_type}-{family + 1}") if family else kind


@functools.cache
def _slots(preset: str, forms: int, changing: bool) -> Numbers:
    """Returns some of the first forms, each as often as its weight says.

    Args:
        preset: The preset, which may have weights of its own.
        forms: How many forms.
        changing: Whether to take all of them, or only those that are no changes of status.
    """
    weights = PRESETS[preset].weights
    return np.repeat(
        np.arange(forms, dtype=np.int64),
        [
            weights.get(kind[:2], kind.weight) if changing or not _is_change(kind) else 0
            for kind in _KINDS[:forms]
        ],
    )


def _is_change(kind: Kind) -> bool:
    return _CHANGE.search(kind.payload) is not None


@functools.cache
def _changing_forms() -> Mask:
    return np.array([_is_change(kind) for kind in _KINDS])


def drawn_kinds(of_event: Draws, of_story: Draws, preset: str, number: int) -> tuple[Numbers, Mask]:
    """Draws an index into ``kinds(number)`` for each event, according to the weights.

    If a story is one of changes of status, all of its events are of one kind.

    Args:
        of_event: The draws of each event.
        of_story: The draws of the story of each event: equal for events of one story.
        preset: The preset.
        number: How many kinds there are.

    Returns:
        The kinds, and whether they come from the story.
    """
    forms = min(number, len(_KINDS))
    slots = _slots(preset, forms, True)
    form = slots[of_story.below(len(slots))]
    changing = _changing_forms()[form]
    own = _slots(preset, forms, False)
    if len(own):
        form = np.where(changing, form, own[of_event.below(len(own))])
    families = (number - form + len(_KINDS) - 1) // len(_KINDS)
    family = np.where(changing, of_story.below(families), of_event.below(families))
    return form + len(_KINDS) * family, changing


class Subjects(NamedTuple):
    """What payloads are about, as columns of equal length.

    Attributes:
        kind: The index of the event's kind.
        key: The key that the event's own words are drawn with.
        entity: The number of its entity.
        entity_key: The key that the entity's words are drawn with.
        step: The step in the entity's life; see `lives`.
    """

    kind: Numbers
    key: Keys
    entity: Numbers
    entity_key: Keys
    step: Numbers


def payloads(subjects: Subjects, preset: str) -> list[str]:
    """Makes the payload of each event as JSON text."""
    form = subjects.kind % len(_KINDS)
    texts = np.empty(len(form), np.object_)
    for n in range(len(_KINDS)):
        rows = np.flatnonzero(form == n)
        template, names = _compiled(n, PRESETS[preset].popular)
        draws = Draws(subjects.key[rows], _PAYLOAD)
        columns = []
        for name in names:
            if name == "id":
                columns.append(lives.public_numbers(subjects.entity[rows]).tolist())
            elif _CHANGE.fullmatch(name):
                words = vocabularies()[name]
                change = lives.changes(subjects.entity[rows], subjects.step[rows], len(words) // 2)
                columns.append(words[change].tolist())
            elif name.startswith("="):
                # By name, so that an entity has the same word in payloads of every form.
                own = Draws(subjects.entity_key[rows], zlib.crc32(name.encode()))
                columns.append(own.pick(vocabularies()[name[1:]]))
            else:
                columns.append(draws.pick(vocabularies()[name]))
        texts[rows] = list(map(template.__mod__, zip(*columns, strict=True)))
    result: list[str] = texts.tolist()
    return result


@functools.cache
def _compiled(form: int, popular: bool) -> tuple[str, Sequence[str]]:
    """Returns a payload as a %-template, and the vocabularies that it takes."""
    texts = re.split(r"<(=?\w+)>", _KINDS[form].payload)
    names = [
        name.replace("merchant", "popular_merchant") if popular else name for name in texts[1::2]
    ]
    return "%s".join(text.replace("%", "%%") for text in texts[::2]), names
