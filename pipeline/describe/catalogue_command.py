"""``catalogue --output TABLE``: what is in `data`, of every type."""

from collections.abc import Sequence

import msgspec

from pipeline import storage
from pipeline.amounts import counted
from pipeline.command import console, one_table, options
from pipeline.describe import arguments as common
from pipeline.describe import fields, schemas, text
from pipeline.describe.known import known
from pipeline.errors import EventsiftError


def main(arguments: Sequence[str]) -> int:
    """Prints the catalogue of a table, or writes its JSON Schemas.

    Returns:
        0; 1 if there is no table or it cannot be read, 2 for a usage error.
    """
    own, where = one_table.parsed(_parser(), arguments)
    if where is None:
        return console.FAILED
    try:
        # A sample does not know what all rows have in common.
        found = known(where, full=own.full or own.schema is not None)
        if own.schema is not None:
            folder = storage.absolute(own.schema)
            count = schemas.write(found.catalogue, folder, examples=own.examples)
            console.say(f"{counted(count, 'schema')} in {folder}")
            if found.catalogue.more_types:
                console.say("eventsift: there are more types, which have no schema", error=True)
            return console.DONE
    except (EventsiftError, OSError) as error:
        console.say(f"eventsift: {error}", error=True)
        return console.FAILED
    shown = fields.shown(found.catalogue, examples=own.examples)
    if own.json:
        console.say(msgspec.json.format(msgspec.json.encode(shown)).decode())
    else:
        console.say(text.text(found, shown))
    return console.DONE


def _parser() -> console.Parser:
    parser = common.parser(
        "catalogue",
        "Tell what is in `data`: for every type its fields, with their JSON types, how often they"
        " are there, values, and since when. Each run adds a sample of what it has read.",
    )
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print it as JSON")
    shape.add_argument(
        "--schema",
        type=options.path,
        metavar="DIR",
        help="write a JSON Schema (2020-12) for each type that all of its rows fulfil, as"
        " DIR/<domain>/<event_type>.json; looks at every row",
    )
    parser.add_argument(
        "--no-examples",
        dest="examples",
        action="store_false",
        help="show no values of the data",
    )
    return parser


if __name__ == "__main__":
    console.run(main)
