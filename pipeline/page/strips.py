"""Pictures of one row each: a strip of a map, bars over runs, one bar.

They have no text and no fixed width: lengths are shares of the place they get, so they are as good
on a phone as on paper. Colours come from the page's style.
"""

from collections.abc import Sequence

from markupsafe import Markup

from pipeline.page import words
from pipeline.page.heat import Cell

_CELL_HEIGHT, _MARK_HEIGHT, _BARS_HEIGHT, _BAR_HEIGHT = 16, 3, 36, 12
# Few cells or bars are not stretched over the whole place; so few have one name together.
_COLUMNS, _NAMED_TOGETHER = 14, 5
# The share of a column that its bar or cell takes.
_FILLED = 0.86
# Nothing that is there is too small to be seen.
_LEAST = 1.5


def strip(cells: Sequence[Cell], columns: Sequence[str], name: Sequence[str]) -> Markup:
    """Draws one row of a map; a mark below a cell says that the last run wrote there.

    Args:
        cells: One for each column.
        columns: The names of the columns.
        name: What the row is called, for those who cannot see it.
    """
    width = 100 / max(len(cells), _COLUMNS)
    parts = []
    for number, (cell, column) in enumerate(zip(cells, columns, strict=True)):
        if not cell.events:
            continue
        x, filled = f"{number * width:.4g}%", f"{width * _FILLED:.3g}%"
        touched = ", written by the last run" if cell.touched else ""
        title = Markup("<title>{}: {:,}{}</title>").format(column, cell.events, touched)
        parts.append(
            f'<rect class="l{cell.level}" x="{x}" width="{filled}" height="{_CELL_HEIGHT}">'
            f"{title}</rect>"
        )
        if cell.touched:
            parts.append(
                f'<rect class="new" x="{x}" y="{_CELL_HEIGHT + 1}" width="{filled}"'
                f' height="{_MARK_HEIGHT}"/>'
            )
    height = _CELL_HEIGHT + _MARK_HEIGHT + 1
    return _picture("".join(parts), height, f"events of {words.isolated(name)}")


def bars(values: Sequence[float], scale: float, label: str) -> Markup:
    """Draws a bar for each value, from the left to the right.

    Args:
        values: Not negative.
        scale: The value of a bar of full height.
        label: What the picture shows, for those who cannot see it.
    """
    width = 100 / max(len(values), _COLUMNS)
    parts = [f'<rect class="base" y="{_BARS_HEIGHT - 1}" width="100%" height="1"/>']
    for number, value in enumerate(values):
        if value > 0:
            height = max(_LEAST, (_BARS_HEIGHT - 1) * value / scale)
            parts.append(
                f'<rect x="{number * width:.4g}%" y="{_BARS_HEIGHT - 1 - height:.4g}"'
                f' width="{width * _FILLED:.3g}%" height="{height:.4g}"/>'
            )
    return _picture("".join(parts), _BARS_HEIGHT, label)


def bar(value: float, scale: float) -> Markup:
    """Draws one bar from the left, beside which its number stands."""
    width = max(0.4, 100 * value / scale) if value > 0 and scale else 0
    content = f'<rect width="{width:.4g}%" height="{_BAR_HEIGHT}"/>' if width else ""
    return Markup(f'<svg class="bar" height="{_BAR_HEIGHT}" aria-hidden="true">{content}</svg>')


def axis(columns: Sequence[str]) -> Markup:
    """Writes the names of the first, the middle and the last column below a strip."""
    number, width = len(columns), 100 / max(len(columns), _COLUMNS)
    names = [("0", "start", columns[0])]
    if 1 < number < _NAMED_TOGETHER:
        names = [("0", "start", f"{columns[0]} to {columns[-1]}")]
    elif number > 1:
        names.append((f"{number * width:.3g}%", "end", columns[-1]))
    if number >= _COLUMNS:
        middle = number // 2
        names.append((f"{(middle + 0.5) * width:.3g}%", "mid", columns[middle]))
    text = Markup("").join(
        Markup('<text x="{}" y="13" class="{}">{}</text>').format(*name) for name in names
    )
    return Markup(f'<svg class="axis" height="18" aria-hidden="true">{text}</svg>')


def _picture(content: str, height: int, label: str) -> Markup:
    return Markup('<svg class="strip" height="{}" role="img" aria-label="{}">{}</svg>').format(
        height, label, Markup(content)
    )
