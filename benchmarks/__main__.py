"""The command line: ``python -m benchmarks --help``."""

if __name__ == "__main__":  # before the imports that take time
    from pipeline import signals

    signals.install("benchmarks")

import argparse
import pathlib
import sys
from collections.abc import Sequence

from benchmarks import build, data, elements, engines, fallbacks, merge, programs, shapes, stores
from benchmarks.measure import CommandError
from pipeline.command import console
from tests.apparatus.install import MissingError
from tests.apparatus.servers import ServerError

_QUICK_EVENTS, _QUICK_ROUNDS = 500_000, 2
_QUICK_SCALE = 1 / 20
_WORK = programs.ROOT / ".bench"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark that `arguments` (default: the process's own) ask for.

    Returns:
        0, or 1 when a program failed or the tables differ. Wrong options raise ``SystemExit(2)``.
    """
    options = _parser().parse_args(arguments)
    try:
        work = data.work_folder(options.work)
        programs.compile_modules()
        report: str = options.measure(options, work)
    except (
        *(CommandError, MissingError, ServerError, OSError),
        *(build.DisagreementError, merge.DisagreementError),
    ) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    print(f"\n{report}", end="")
    if options.markdown is not None:
        options.markdown.write_text(report)
    return 0


def _build(options: argparse.Namespace, work: pathlib.Path) -> str:
    if options.quick:
        events, rounds, peers = _QUICK_EVENTS, _QUICK_ROUNDS, [build.YARDSTICK]
    else:
        events, rounds = options.events, options.rounds
        peers = options.peers or build.default_peers(events)
    for peer in [*peers]:
        if lacking := programs.missing(peer):
            print(f"{peer} is left out: {lacking} is missing", file=sys.stderr)
            peers.remove(peer)
    return build.markdown(build.measure(events, rounds, peers, work))


def _fallbacks(options: argparse.Namespace, work: pathlib.Path) -> str:
    return fallbacks.markdown(fallbacks.measure(options.events, options.rounds, work, options.only))


def _merge(options: argparse.Namespace, work: pathlib.Path) -> str:
    cases = merge.cases(options.tables, options.deliveries)
    return merge.markdown(merge.measure(cases, options.rounds, work))


def _shapes(options: argparse.Namespace, work: pathlib.Path) -> str:
    scale = _QUICK_SCALE if options.quick else options.scale
    wanted = shapes.wanted(shapes.shapes(scale), options.only)
    return shapes.markdown(shapes.measure(wanted, 1 if options.quick else options.rounds, work))


def _elements(options: argparse.Namespace, work: pathlib.Path) -> str:
    delivery = build.delivery(options.events, work)
    onto = None if options.onto is None else build.delivery(options.onto, work)
    return elements.markdown(elements.compare(delivery, onto, work))


def _engines(options: argparse.Namespace, work: pathlib.Path) -> str:
    found = engines.measure(options.events, options.rounds, options.only, work, hot=options.hot)
    return engines.markdown(found)


def _stores(options: argparse.Namespace, work: pathlib.Path) -> str:
    return stores.markdown(stores.measure(options.events, options.rounds, work))


def _peers(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in programs.PEERS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(programs.PEERS)}")
    return names


def _whole(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be 1 or more")
    return number


def _numbers(text: str) -> list[int]:
    return [_whole(number) for number in text.split(",")]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measures eventsift: time, processor time and memory of its process tree.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, meaning: str, rounds: int, events: int | None = None
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=meaning, description=meaning)
        if events is not None:
            added.add_argument(
                "--events", metavar="N", type=_whole, default=events, help="default: %(default)s"
            )
        added.add_argument(
            "--rounds", metavar="N", type=_whole, default=rounds, help="default: %(default)s"
        )
        added.add_argument(
            "--work",
            metavar="DIR",
            type=pathlib.Path,
            default=_WORK,
            help="folder for input, which is kept, and output (default: .bench in the checkout)",
        )
        added.add_argument(
            "--markdown", metavar="FILE", type=pathlib.Path, help="file for the table"
        )
        return added

    added = command("build", "make a table with eventsift and its peers", 3, 1_000_000)
    added.set_defaults(measure=_build)
    added.add_argument(
        "--peers",
        metavar="NAMES",
        type=_peers,
        help=f"of {','.join(programs.PEERS)}; default: all, without beam for many events;"
        f" {build.YARDSTICK} always",
    )
    added.add_argument(
        "--quick",
        action="store_true",
        help=f"{_QUICK_EVENTS:,} events, {_QUICK_ROUNDS} rounds, {build.YARDSTICK} only",
    )

    added = command("fallbacks", "what input costs that is not clean JSON Lines", 2, 800_000)
    added.set_defaults(measure=_fallbacks)
    added.add_argument(
        "--only",
        metavar="KIND",
        nargs="+",
        default=[],
        choices=list(fallbacks.kinds(1)),
        help="kinds of input, by their names",
    )

    added = command("merge", "what a delivery into an existing table costs", 2)
    added.set_defaults(measure=_merge)
    added.add_argument(
        "--tables",
        metavar="N,…",
        type=_numbers,
        default=[1_000_000, 10_000_000],
        help="events the tables are built from (default: 1000000,10000000)",
    )
    added.add_argument(
        "--deliveries",
        metavar="N,…",
        type=_numbers,
        default=[1_000, 10_000, 100_000, 1_000_000],
        help="events delivered (default: 1000,10000,100000,1000000)",
    )

    added = command("shapes", "loads of other shapes than the plain one", 3)
    added.set_defaults(measure=_shapes)
    added.add_argument(
        "--only",
        metavar="TEXT",
        nargs="+",
        default=[],
        help="loads whose names begin with one of these, and the plain ones beside them",
    )
    added.add_argument(
        "--scale",
        metavar="X",
        type=float,
        default=1.0,
        help="multiplies all numbers of events (default: 1, 60 million events)",
    )
    added.add_argument("--quick", action="store_true", help="a twentieth of it, one round")

    added = command("elements", "how large the elements are that a run shuffles", 1, 1_000_000)
    added.set_defaults(measure=_elements)
    added.add_argument(
        "--onto",
        metavar="N",
        type=_whole,
        help="events that the table was built from before (default: none, a new table)",
    )

    added = command("engines", "Prism and Flink next to the local runner", 3, 1_000_000)
    added.set_defaults(measure=_engines)
    added.add_argument(
        "--only",
        metavar="ENGINE",
        nargs="+",
        default=list(engines.NAMES[1:]),
        choices=engines.NAMES[1:],
        help=f"of {', '.join(engines.NAMES[1:])}; the local runner always",
    )
    added.add_argument("--hot", action="store_true", help="all events are of one type and day")

    added = command("stores", "all of it on S3 next to the local disk", 3, 1_000_000)
    added.set_defaults(measure=_stores)
    return parser


if __name__ == "__main__":
    console.run(main)
