"""The kinds of events: domains, event types, and what their payloads look like."""

import functools
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from generator.draws import Draws, Numbers
from generator.words import vocabularies

DrawsOf: TypeAlias = Callable[[Numbers], Draws]


class Kind(NamedTuple):
    """One kind of event.

    Attributes:
        domain: The domain, such as ``account``.
        event_type: The event type, such as ``status-change``.
        weight: How often it occurs, relative to the other kinds.
        payload: A JSON object in which ``<name>`` stands for a word of that vocabulary.
    """

    domain: str
    event_type: str
    weight: int
    payload: str


# Between them, the payloads have all that is hard to keep byte for byte: spaces, nesting, lists,
# trailing zeros, escapes, exponents, the order of keys.
_KINDS = (
    Kind("account", "status-change", 8,
         '{"account":<iban>,<account_change>,"reason":<note>,"ref":"<hex><hex><hex>"}'),
    Kind("transaction", "authorized", 20,
         '{"amount":<amount>,"currency":"<currency>","card":"************<digits>",'
         '"merchant":<merchant>,"auth":"<hex><hex>"}'),
    Kind("card", "status-change", 7,
         '{"card":"************<digits>",<card_change>,"by":<person>,"note":<note>}'),
    Kind("customer", "registered", 5,
         '{"name":<person>,"email":<email>,"phone":<phone>,"marketing":<flag>,"score":<level>}'),
    Kind("account", "opened", 5,
         '{"account":<iban>,"owner":<person>,"currency":"<currency>","branch":{"city":<city>}}'),
    Kind("account", "balance-update", 10,
         '{ "account": <iban>, "balance": <amount>, "available": <amount>, '
         '"currency": "<currency>" }'),
    Kind("account", "limit-change", 4,
         '{"limits":{"daily":{"from":<amount>,"to":<amount>},"atm":<level>e2},"by":<person>,'
         '"channel":"<channel>"}'),
    Kind("card", "issued", 5,
         '{"scheme":"<scheme>","card":"************<digits>","holder":<person>,"virtual":<flag>,'
         '"features":<tags>}'),
    Kind("card", "pin-change", 3,
         '{"card":"************<digits>","channel":"<channel>","attempts":[<level>,<level>],'
         '"ok":<flag>,"ref":"<hex><hex><hex><hex>"}'),
    Kind("transaction", "settled", 15,
         '{"amount":<amount>,"currency":"<currency>","rate":<rate>,"fee":-0.<digits>,'
         '"batch":"<hex><hex>","lines":[<lines>]}'),
    Kind("transaction", "reversed", 3,
         '{"original":"<hex><hex><hex><hex>","amount":-1<amount>,"reason":<note>,"tags":[]}'),
    Kind("transaction", "declined", 7,
         '{"amount":<amount>,"merchant":<merchant>,"decline":{"code":"<decline>","risk":0.<digits>}}'),
    Kind("customer", "address-change", 5,
         '{"address":<address>,"previous":null,"verified":<flag>,"contact":{"email":<email>}}'),
    Kind("merchant", "onboarded", 3,
         '{"merchant":<merchant>,"contact":{"name":<person>,"phone":<phone>},"fees":[[0,<rate>]]}'),
)  # fmt: skip


@functools.cache
def kinds(number: int) -> Sequence[Kind]:
    """Returns this many kinds; after the ones above, further event types of the same forms."""
    return [_kind(n) for n in range(number)]


def _kind(n: int) -> Kind:
    family, form = divmod(n, len(_KINDS))
    kind = _KINDS[form]
    return kind._replace(event_type=f"{kind.event_type}-{family + 1}") if family else kind


@functools.cache
def _slots(forms: int) -> Numbers:
    """Returns the first forms, each as often as its weight says."""
    return np.repeat(np.arange(forms), [kind.weight for kind in _KINDS[:forms]]).astype(np.int64)


def drawn_kinds(draws: Draws, number: int) -> Numbers:
    """Draws an index into ``kinds(number)`` for each key, according to the weights."""
    slots = _slots(min(number, len(_KINDS)))
    form = slots[draws.below(len(slots))]
    families = (number - form + len(_KINDS) - 1) // len(_KINDS)
    return form + len(_KINDS) * draws.below(families)


def payloads(kind: Numbers, draws_of: DrawsOf) -> list[str]:
    """Makes the payload of each event as JSON text.

    Args:
        kind: The index of each event's kind.
        draws_of: Makes the draws of some of the events, given by their indices.
    """
    form = kind % len(_KINDS)
    texts = np.empty(len(kind), np.object_)
    for n in range(len(_KINDS)):
        rows = np.flatnonzero(form == n)
        template, names = _compiled(n)
        draws = draws_of(rows)
        columns = [draws.pick(vocabularies()[name]) for name in names]
        texts[rows] = list(map(template.__mod__, zip(*columns, strict=True)))
    result: list[str] = texts.tolist()
    return result


@functools.cache
def _compiled(form: int) -> tuple[str, Sequence[str]]:
    """Returns a payload as a %-template, and the vocabularies that it takes."""
    texts = re.split(r"<(\w+)>", _KINDS[form].payload)
    return "%s".join(text.replace("%", "%%") for text in texts[::2]), texts[1::2]
