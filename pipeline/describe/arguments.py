"""What the commands have in common: the table that is asked about."""

from collections.abc import Sequence
from typing import Any

from pipeline import storage
from pipeline.command import console, explain, options
from pipeline.table.address import Table


def parser(command: str, description: str) -> console.Parser:
    """Returns a parser with the options that both commands have."""
    found = console.Parser(
        prog=console.name(command, f"pipeline.describe.{command}_command"),
        description=description,
        epilog="Beam's options for object stores may follow, e.g. --s3_endpoint_url. Exit codes: 0;"
        " 1 if there is no table, or it cannot be read; 2 for a usage error.",
        allow_abbrev=False,
    )
    found.add_argument("--output", type=options.path, metavar="DIR", help="the table's folder")
    found.add_argument(
        "--full",
        action="store_true",
        help="look at every row, on all cores, instead of the samples that runs have kept",
    )
    return found


def parsed(parser: console.Parser, arguments: Sequence[str]) -> tuple[Any, Table | None]:
    """Returns the options, and the table; None if there is none, which has been said."""
    stores = any("://" in argument for argument in arguments)
    if not stores:
        parser.more_options = list  # Beam's are of use for a store only, and take time to import
    own, rest = parser.parse_known_args(arguments)
    if rest and not stores:
        parser.error(f"{rest[0]!r} belongs to no option; see --help")
    if not own.output:
        parser.error("--output is needed, the table's folder")
    root = storage.absolute(own.output)
    if missing := explain.missing_extra(root):
        parser.error(missing)
    where = _in_store(parser, root, rest) if stores else Table(root)
    if problem := explain.not_a_folder("--output", root) or explain.no_table(root):
        console.say(f"eventsift: {problem}", error=True)
        return own, None
    return own, where


def _in_store(parser: console.Parser, root: str, rest: Sequence[str]) -> Table:
    """Returns a table, and lets Beam's options for stores be known; imports Beam."""
    from apache_beam.options.pipeline_options import PipelineOptions

    from pipeline.command import beam_options
    from pipeline.storage import stores

    engine = PipelineOptions(list(rest))
    beam_options.refuse_unknown(parser, engine, rest)
    stores.configure(engine)
    return Table(root, stores.delta_options(root, engine))
