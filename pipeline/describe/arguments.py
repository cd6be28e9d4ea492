"""The options that `catalogue` and `views` have in common."""

from pipeline.command import console, options


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
