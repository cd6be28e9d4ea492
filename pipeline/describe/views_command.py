"""``views --output TABLE --dialect NAME``: prints SQL that makes a view of each type."""

from collections.abc import Sequence

from pipeline.command import console, one_table
from pipeline.describe import arguments as common
from pipeline.describe.dialects import DIALECTS
from pipeline.describe.known import Known, known
from pipeline.describe.views import views
from pipeline.errors import EventsiftError


def main(arguments: Sequence[str]) -> int:
    """Prints the statements.

    Returns:
        0; 1 if there is no table or it cannot be read, 2 for a usage error.
    """
    own, where = one_table.parsed(_parser(), arguments)
    if where is None:
        return console.FAILED
    try:
        found = known(where, own.full)
    except (EventsiftError, OSError) as error:
        console.say(f"eventsift: {error}", error=True)
        return console.FAILED
    console.say(_about(found))
    statements = views(
        found.table.root, found.snapshot, found.catalogue, own.dialect, own.name, own.table
    )
    for statement in statements:
        console.say(f"\n{statement};")
    return console.DONE


def _about(found: Known) -> str:
    version = f"version {found.snapshot.version:,}"
    if found.is_whole:
        return f"-- Made by eventsift of all rows of {version}."
    lines = [
        f"-- Made by eventsift at {version}, of a sample of what was delivered: a column may have",
        "-- NULL where `data` has a value of another type. With --full every row is looked at.",
    ]
    return "\n".join(lines)


def _parser() -> console.Parser:
    parser = common.parser(
        "views",
        "Print SQL that makes a view of each type: a typed column for each field of `data`, and"
        " `data` itself beside them. Every view returns every row of its type.",
    )
    parser.add_argument(
        "--dialect",
        choices=list(DIALECTS),
        default="duckdb",
        help="the engine whose SQL it is (default: duckdb)",
    )
    parser.add_argument(
        "--name", default="", metavar="SCHEMA", help="the schema in which the views are made"
    )
    parser.add_argument(
        "--table",
        default="",
        metavar="NAME",
        help="what the engine calls the table (default: its files for duckdb and spark; else"
        " events)",
    )
    return parser


if __name__ == "__main__":
    console.run(main)
