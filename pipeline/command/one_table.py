"""Which table a command is about that only looks at one. Beam is imported for stores alone."""

from collections.abc import Sequence
from typing import Any

from pipeline import storage
from pipeline.command import console, explain
from pipeline.table.address import Table


def parsed(parser: console.Parser, arguments: Sequence[str]) -> tuple[Any, Table | None]:
    """Returns the options, and the table; None if there is none, which has been said.

    Args:
        parser: Knows ``--output``, and perhaps ``--input``.
        arguments: The command's arguments.

    Raises:
        SystemExit: With status 2, for a usage error.
    """
    is_remote = any("://" in argument for argument in arguments)
    if not is_remote:
        parser.more_options = list  # Beam's are of use for a store only, and take time to import
    own, rest = parser.parse_known_args(arguments)
    if rest and not is_remote:
        parser.error(f"{rest[0]!r} belongs to no option; see --help")
    if not own.output:
        parser.error("--output is needed, the table's folder")
    root = storage.absolute(own.output)
    places = [root, *getattr(own, "input", [])]
    if missing := next(filter(None, map(explain.missing_extra, places)), None):
        parser.error(missing)
    where = in_store(parser, root, rest) if is_remote else Table(root)
    if problem := explain.not_a_folder("--output", root) or explain.no_table(root):
        console.say(f"eventsift: {problem}", error=True)
        return own, None
    return own, where


def in_store(parser: console.Parser, root: str, rest: Sequence[str]) -> Table:
    """Returns a table, and lets Beam's options for stores be known; imports Beam.

    Args:
        parser: Says what is wrong with the options.
        root: The table.
        rest: The arguments that are not the command's own.
    """
    from apache_beam.options.pipeline_options import PipelineOptions

    from pipeline.command import beam_options
    from pipeline.storage import stores

    engine = PipelineOptions(list(rest))
    beam_options.refuse_unknown(parser, engine, rest)
    stores.configure(engine)
    return Table(root, stores.delta_options(root, engine))
