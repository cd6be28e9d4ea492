"""The flow of a run as a picture: what came in, what became of it, and what the table is now."""

from collections.abc import Iterator
from typing import NamedTuple

from markupsafe import Markup

from pipeline.amounts import counted, noun, size
from pipeline.bookkeeping.summary import RunSummary

# The band of all records; the bands it divides into are shares of it.
_BAND = 132
# Nothing that is there is too thin to be seen.
_LEAST = 2.0
_GAP, _ROOM = 14, 32
# As many characters fit beside the bands on a phone, in any font.
_PHONE_WORDS = 20
_MINUS = "\u2212"
_TOP = 26


class Band(NamedTuple):
    """Some of the records.

    Attributes:
        kind: What became of them; the picture's colour.
        records: How many.
        words: What they are called.
        remark: What it means.
    """

    kind: str
    records: int
    words: str
    remark: str


class Flow(NamedTuple):
    """What a run did, in numbers.

    Attributes:
        files: Files read.
        bytes: Bytes read.
        read: Records read: the sum of the bands.
        bands: What became of them.
        before: Rows of the table before the run; 0 if it was made anew.
        kept: Rows that came.
        replaced: Rows that left.
        after: Rows of the table after the run: `before` + `kept` - `replaced`.
        rebuild: Whether the table was made anew.
    """

    files: int
    bytes: int
    read: int
    bands: tuple[Band, ...]
    before: int
    kept: int
    replaced: int
    after: int
    rebuild: bool


def flow_of(run: RunSummary) -> Flow:
    """Returns the numbers of a run."""
    events, table = run.events, run.table
    # A rebuild makes the table of what it has read, and of nothing else.
    replaced = 0 if run.rebuild else table.replaced_rows
    return Flow(
        files=run.files.read,
        bytes=run.bytes,
        read=events.read,
        bands=(
            Band("kept", events.kept, "kept", "the latest versions"),
            Band("superseded", events.superseded, "superseded", "a later version is there"),
            Band(
                "exact",
                events.exact_duplicates,
                f"exact {noun(events.exact_duplicates, 'duplicate')}",
                "the same event is there",
            ),
            Band("rejected", events.rejected, "rejected", "kept as dead letters"),
        ),
        before=0 if run.rebuild else max(0, table.rows - events.kept + replaced),
        kept=events.kept,
        replaced=replaced,
        after=table.rows,
        rebuild=run.rebuild,
    )


def equation(flow: Flow) -> str:
    """Returns the sum that closes: "10 read = 7 kept + 2 superseded + …"."""
    parts = [f"{band.records:,} {band.words}" for band in flow.bands]
    return f"{flow.read:,} read = {' + '.join(parts)}"


def table_equation(flow: Flow) -> str:
    """Returns what the run did to the table: "3 rows before + 7 kept = 10 rows now"."""
    before = "" if flow.rebuild else f"{counted(flow.before, 'row')} before + "
    replaced = f" {_MINUS} {flow.replaced:,} replaced" if flow.replaced else ""
    return f"{before}{flow.kept:,} kept{replaced} = {counted(flow.after, 'row')} now"


class _Layout(NamedTuple):
    """Where things stand, from the left to the right."""

    width: int
    split: int
    bend: int
    label: int
    table: int


# On a screen the table stands at the right; on a phone, below.
_WIDE = _Layout(860, 190, 360, 376, 610)
_NARROW = _Layout(340, 84, 128, 138, 0)
_TABLE_HEIGHT = 118


class _Placed(NamedTuple):
    """A band with its places: where it leaves the band of all, and where it ends."""

    band: Band
    start: float
    end: float
    height: float

    @property
    def middle(self) -> float:
        """The height at which it ends."""
        return self.end + self.height / 2


def picture(flow: Flow, *, wide: bool) -> Markup:
    """Draws the flow.

    Args:
        flow: The numbers.
        wide: Whether it is for a screen, and not for a phone.
    """
    layout = _WIDE if wide else _NARROW
    placed = list(_placed(flow))
    bottom = max(placed[-1].end + max(placed[-1].height, _ROOM), _TOP + _BAND) + 6
    table_top = _TOP if wide else bottom + 16
    height = max(bottom, table_top + _TABLE_HEIGHT + 4)
    parts = [*_source(flow, layout, wide), *(_bent(one, layout) for one in placed)]
    if wide:
        parts += _arrow(placed[0], layout)
    else:
        parts += _fall(placed[0], layout, bottom, table_top)
    parts += [_label(one, layout, wide) for one in placed]
    parts += _table(flow, layout, table_top)
    label = f"{equation(flow)}; {table_equation(flow)}"
    return Markup(
        '<svg class="flow {}" viewBox="0 0 {} {:.0f}" role="img" aria-label="{}">{}</svg>'
    ).format("wide" if wide else "narrow", layout.width, height, label, Markup("").join(parts))


def _placed(flow: Flow) -> Iterator[_Placed]:
    start = end = float(_TOP)
    for band in flow.bands:
        height = max(_LEAST, _BAND * band.records / flow.read) if band.records else 0.0
        # A thin band stands in the middle of the room for its words.
        spare = max(0.0, _ROOM - height) / 2 if band is not flow.bands[0] else 0.0
        yield _Placed(band, min(start, _TOP + _BAND - height), end + spare, height)
        start += _BAND * band.records / flow.read if flow.read else 0.0
        end += max(height, _ROOM) + _GAP


def _source(flow: Flow, layout: _Layout, wide: bool) -> Iterator[Markup]:
    """Draws the band of all records, with what came in."""
    yield _rect("all", 0, _TOP, layout.split, _BAND if flow.read else _LEAST)
    files = f"{counted(flow.files, 'file')}, {size(flow.bytes)}"
    if not wide:
        yield _text(0, _TOP - 10, f"{flow.read:,} read from {files}", "strong")
        return
    yield _text(0, _TOP - 10, files, "note")
    yield _text(12, _TOP + _BAND / 2 - 2, f"{flow.read:,}", "number onall")
    yield _text(12, _TOP + _BAND / 2 + 16, "read", "onall")


def _bent(one: _Placed, layout: _Layout) -> Markup:
    """Draws a band from where it leaves the band of all to where it ends."""
    if not one.height:
        return Markup("")
    x, end, middle = layout.split, layout.bend, (layout.split + layout.bend) / 2
    top, low = one.start, one.start + one.height
    to_top, to_low = one.end, one.end + one.height
    path = (
        f"M{x} {top:.4g}C{middle:g} {top:.4g} {middle:g} {to_top:.4g} {end} {to_top:.4g}"
        f"V{to_low:.4g}C{middle:g} {to_low:.4g} {middle:g} {low:.4g} {x} {low:.4g}Z"
    )
    return Markup('<path class="{}" d="{}"/>').format(one.band.kind, path)


def _arrow(one: _Placed, layout: _Layout) -> Iterator[Markup]:
    """Draws the way of what is kept into the table at its right."""
    if not one.height:
        return
    x, end = layout.bend, layout.table - 18
    yield _rect("kept", x - 0.5, one.end, end - x + 0.5, one.height)
    tip = max(one.height / 2, 6)
    yield Markup('<path class="kept" d="M{} {:.4g}L{} {:.4g}L{} {:.4g}Z"/>').format(
        end, one.middle - tip, layout.table - 4, one.middle, end, one.middle + tip
    )


def _fall(one: _Placed, layout: _Layout, bottom: float, table_top: float) -> Iterator[Markup]:
    """Draws the sign that what is kept goes into the table below."""
    if one.height:
        x = layout.split / 2
        yield Markup(
            '<path class="kept line" d="M{x} {start:.4g}V{end:.4g}"/>'
            '<path class="kept" d="M{left} {end:.4g}h12l-6 9Z"/>'
        ).format(x=x, left=x - 6, start=_TOP + _BAND + 6, end=table_top - 12)


def _label(one: _Placed, layout: _Layout, wide: bool) -> Markup:
    x, band = layout.label, one.band
    number = f"{band.records:,}"
    if band.kind == "kept" and wide:
        if one.height >= _ROOM + 8:  # within the arrow
            y = one.middle
            return _text(x, y - 2, number, "number onkept") + _text(
                x, y + 16, f"{band.words}, {band.remark}", "onkept"
            )
        y = one.end + one.height + 17
        return _text(x, y, f"{number} {band.words}, {band.remark}", "strong")
    lines = (f"{number} {band.words}", band.remark)
    if not wide and len(lines[0]) > _PHONE_WORDS:
        lines = (number, band.words)
    y = one.middle
    return _text(x, y - 2, lines[0], "strong") + _text(x, y + 14, lines[1], "note")


def _table(flow: Flow, layout: _Layout, top: float) -> Iterator[Markup]:
    """Draws the table, with the sum of its rows."""
    left, right = layout.table, layout.width - 1
    yield Markup('<rect class="table" x="{}" y="{:.4g}" width="{}" height="{}" rx="4"/>').format(
        left + 0.5, top, right - left - 0.5, _TABLE_HEIGHT
    )
    rows = [
        ("", f"{flow.before:,}", f"{noun(flow.before, 'row')} before"),
        ("+", f"{flow.kept:,}", "kept"),
        (_MINUS, f"{flow.replaced:,}", "replaced"),
        ("=", f"{flow.after:,}", f"{noun(flow.after, 'row')} now"),
    ]
    if flow.rebuild:
        rows = rows[1:2] + rows[3:]
    number_end = left + 44 + 8.6 * max(len(number) for _, number, _ in rows)
    for line, (sign, number, text) in enumerate(rows):
        y = top + 27 + 25 * line + (4 if sign == "=" else 0)
        kind = "strong" if sign == "=" else ""
        if sign == "=":
            yield Markup('<path class="rule" d="M{} {:.4g}H{}"/>').format(
                left + 14, y - 19, right - 14
            )
        yield _text(left + 16, y, sign, kind)
        yield _text(number_end, y, number, f"{kind} end")
        yield _text(number_end + 8, y, text, kind or "note")


def _rect(kind: str, x: float, y: float, width: float, height: float) -> Markup:
    return Markup('<rect class="{}" x="{:g}" y="{:.4g}" width="{:g}" height="{:.4g}"/>').format(
        kind, x, y, width, height
    )


def _text(x: float, y: float, text: str, kind: str = "") -> Markup:
    return Markup('<text x="{:g}" y="{:.4g}" class="{}">{}</text>').format(x, y, kind, text)
