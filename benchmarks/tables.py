"""The results as Markdown tables, and what is said about the machine."""

import os
import pathlib
import platform
import statistics
from collections.abc import Sequence

MIB = 1 << 20


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, aligned to be read as text too; the first column is left-aligned."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = [f"{'-' * (width - 1)}{'-' if at == 0 else ':'}" for at, width in enumerate(widths)]
    return "\n".join([line(header), line(rule), *map(line, rows)])


def ratios(values: Sequence[float], yardstick: Sequence[float]) -> str:
    """Each round's value to the yardstick's in the same round: min / median / max."""
    found = [value / unit for value, unit in zip(values, yardstick, strict=True)]
    if len(found) == 1:
        return f"{found[0]:.2f}"
    return f"{min(found):.2f} / {statistics.median(found):.2f} / {max(found):.2f}"


def rounds(number: int) -> str:
    """How often everything was measured."""
    return "one round" if number == 1 else f"{number} interleaved rounds"


def seconds(values: Sequence[float]) -> str:
    """The median of some times."""
    return f"{statistics.median(values):.1f}"


def mib(values: Sequence[int]) -> str:
    """The median of some sizes, in MiB."""
    return f"{statistics.median(values) / MIB:,.0f}"


def machine() -> str:
    """One line on where the figures were taken."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{cores} cores ({_processor()}), {memory:.0f} GiB, {platform.system()}, Python"
        f" {platform.python_version()}"
    )


def load() -> str:
    """How busy the machine is: the figures of a busy one are not to be trusted."""
    return f"{os.getloadavg()[0]:.1f}"


def _processor() -> str:
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
