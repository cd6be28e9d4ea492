"""``python -m pipeline.command.page --output DIR``: writes the page of a table; runs do so, too.

Nothing that takes time is imported at the top: a run that makes no page needs none of it.
"""

import os
from collections.abc import Sequence

from pipeline import storage
from pipeline.command import console, explain, one_table, options, report_file
from pipeline.errors import EventsiftError
from pipeline.storage.paths import STATE
from pipeline.table.address import Table


def main(arguments: Sequence[str]) -> int:
    """The command.

    Returns:
        0 if the page is written, 1 if it is not; 2 for a usage error.
    """
    parser = console.Parser(
        prog=console.name("page", "pipeline.command.page"),
        description="Write one HTML file that shows a table and what its runs did; it needs"
        " nothing else.",
        epilog="Beam's options for object stores may follow, e.g. --s3_endpoint_url.",
        allow_abbrev=False,
    )
    parser.add_argument("--output", type=options.path, metavar="DIR", help="the table's folder")
    parser.add_argument(
        "--file",
        type=options.path,
        metavar="PATH",
        help="where to write the page (default: in the table, _eventsift/page.html)",
    )
    table, file = _asked(parser, arguments)
    problem = (
        explain.missing_extra(table.root)
        or explain.not_a_folder("--output", table.root)
        or (not _has_run(table.root) and explain.no_table(table.root, "there is no table"))
        or (report_file.unusable(file, "--file") if file else None)
        or (None if file else explain.unusable_folder("--output", table.root))
    )
    if problem:
        console.say(f"eventsift: {problem}", error=True)
        return console.FAILED
    from pipeline.page import build

    try:
        console.say(f"The page is {build.write(table, file)}")
    except (EventsiftError, OSError) as error:
        console.say(f"eventsift: the page could not be written: {error}", error=True)
        return console.FAILED
    return console.DONE


def _has_run(root: str) -> bool:
    """Tells whether a run may have left something there, though there is no table."""
    return not storage.is_local(root) or os.path.isdir(os.path.join(root, STATE))


def _asked(parser: console.Parser, arguments: Sequence[str]) -> tuple[Table, str]:
    """Returns the table, and where its page is to be written; "" for beside the summaries."""
    own, rest = parser.parse_known_args(arguments)
    if not own.output:
        parser.more_options = list
        parser.error("--output is needed, the table's folder")
    root = storage.absolute(own.output)
    file = storage.absolute(own.file) if own.file else ""
    if not rest and storage.is_local(root) and storage.is_local(file):
        return Table(root), file
    # Only what lies elsewhere needs Beam.
    from pipeline.command import beam_options

    beam_options.tell_beams_options(parser, arguments)
    return one_table.in_store(parser, root, rest), file


def after_run(table: Table) -> str:
    """Writes the page after a run. What goes wrong is only said: the run is published.

    Returns:
        Where the page is; "" if it could not be written.
    """
    try:
        from pipeline.page import build

        return build.write(table)
    except Exception as error:
        console.say(
            f"eventsift: the page could not be written, which changes nothing else: {error}",
            error=True,
        )
        return ""


if __name__ == "__main__":
    console.run(main)
