import datetime
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import jinja2
import msgspec
import pytest

from pipeline.bookkeeping.summary import RunSummary, TableChange
from pipeline.catalogue import observe
from pipeline.catalogue.changes import TypeChange
from pipeline.catalogue.observe import Payload
from pipeline.errors import EventsiftError
from pipeline.keys.partitions import Destination
from pipeline.page import build, words
from pipeline.page.figures import figures
from pipeline.page.flow import equation, flow_of, picture, table_equation
from pipeline.page.gather import SAMPLES, gather
from tests.page.figures_by_hand import HOSTILE, NOW, file, gathered, letter, one_run, run_id, write

# These stand alone, so nothing closes them (HTML, "Void elements").
VOID = {"meta", "link", "br", "col"}
MEGABYTE = 1_000_000


class Elements(HTMLParser):
    """The elements of a page, each with its attributes; fails where tags do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Opens an element."""
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Adds an element that is closed at once."""
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Closes the element that was opened last."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Adds text."""
        self.text.append(data)


def hostile_page() -> str:
    """The page of a table in which every name and every record is made to break it."""
    files = [
        file(Destination(text, HOSTILE[-1 - n], 2021, 1, 8), 5) for n, text in enumerate(HOSTILE)
    ]
    runs = [one_run(n, kept=5, rejected={"not-json": 3, text: 1}) for n, text in enumerate(HOSTILE)]
    letters = [
        letter(reason, text, f"/in/{text}") for text in HOSTILE for reason in ("not-json", text)
    ]
    seen = [Payload(text, text, 0, json.dumps({text: 1})) for text in HOSTILE]
    change = TypeChange(HOSTILE[0], HOSTILE[1], new=1, new_paths=[HOSTILE[0]])
    runs[-1] = msgspec.structs.replace(runs[-1], fields=[change])
    root = f"/tables/{HOSTILE[0]}{HOSTILE[5]}"
    everything = gathered(files, runs, letters, root, observe.observe(seen))
    return build.render(figures(everything, NOW))


def test_what_others_wrote_is_text() -> None:
    """No name and no record becomes an element, an attribute or a rule of style.

    Seen to fail with autoescape switched off.
    """
    page = Elements(hostile_page())

    tags = {tag for tag, _ in page.found}
    assert not tags & {"script", "img", "iframe", "object", "form", "input", "b"}
    assert len([tag for tag, _ in page.found if tag == "h1"]) == 1
    for _, attributes in page.found:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
    text = "".join(page.text)
    assert HOSTILE[0] in text
    assert HOSTILE[3] in text
    assert "عربي-עברית" in text


def test_what_does_not_show_is_written_out() -> None:
    """Characters that hide, or turn others around, are seen as what they are.

    Right-to-left letters stay letters, each name by itself in a `bdi`.
    """
    page = hostile_page()

    for character in "\u202e\u2066\u200b\x00\x1b":
        assert character not in page
    assert r"\u202egpj.exe\u2066\u200b" in page
    assert r"line\nbreak\ttab\x00\x1b[31m" in page
    assert "<bdi>عربي-עברית</bdi> / <bdi>" in page


def test_the_page_needs_nothing_else() -> None:
    """Its policy forbids every request; its one style is known to the policy by its digest."""
    text = hostile_page()
    page = Elements(text)

    (policy,) = [
        attributes["content"]
        for tag, attributes in page.found
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    for tag, attributes in page.found:
        for name in ("src", "href", "srcset", "data", "action"):
            target = attributes.get(name)
            assert target is None or target == "data:," or target.startswith("#"), (tag, target)
    assert "url(" not in text
    assert "@import" not in text


def test_links_lead_somewhere() -> None:
    """On the page itself; and no two elements have one id."""
    page = Elements(hostile_page())
    ids = [attributes["id"] for _, attributes in page.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {attributes["href"] for tag, attributes in page.found if tag == "a"}
    assert links <= {f"#{name}" for name in ids}
    labels = {attributes.get("aria-labelledby") for _, attributes in page.found} - {None}
    assert labels <= set(ids)


def test_ten_thousand_partitions(tmp_path: Path) -> None:
    """They make a small page with little work; a year of daily runs included.

    Counted are the calls of Python functions: about ten million of them take a second.
    """
    start = datetime.date(2020, 1, 1)
    runs = [one_run(n, kept=1000, rejected={"not-json": n % 3}) for n in range(400)]
    for kinds, days, most in ((1, 100, 30_000), (40, 250, 250_000)):
        dates = [start + datetime.timedelta(days=n) for n in range(days)]
        files = [
            file(Destination(f"d{kind} {'&' * 200}", "t" * 200, *date.timetuple()[:3]), n + 1)
            for kind in range(kinds)
            for n, date in enumerate(dates)
        ]
        letters = [letter("not-json", "&" * 1000)] * 3
        table = write(tmp_path / str(kinds), files, runs[: days * 2], letters)
        build.write(table)
        calls: Counter[str] = Counter()
        sys.setprofile(lambda _, event, __, calls=calls: calls.update([event]))
        try:
            path = Path(build.write(table))
        finally:
            sys.setprofile(None)

        assert calls["call"] < most
        assert path.stat().st_size < MEGABYTE / 2
        assert f"{sum(one.rows for one in files):,}" in path.read_text()


@pytest.mark.parametrize(
    ("files", "runs"),
    [
        pytest.param([file(Destination("a", "b", 2021, 1, 8), 1)], [], id="one row, no run"),
        pytest.param([], [one_run(1, rejected={"not-json": 1})], id="nothing but rejects"),
        pytest.param([], [one_run(1, files=0)], id="a run that found nothing"),
        pytest.param(
            [file(Destination("a", "b", 1, 1, 1), 1), file(Destination("a", "b", 9999, 12, 31), 1)],
            [one_run(1, kept=2)],
            id="from the first day to the last",
        ),
    ],
)
def test_small_tables(files: list, runs: list) -> None:
    """There is a page for whatever there is."""
    Elements(build.render(figures(gathered(files, runs), NOW)))


def test_a_folder_without_a_table_is_refused(tmp_path: Path) -> None:
    """A typing error must not leave a page somewhere."""
    with pytest.raises(EventsiftError, match="there is no table"):
        build.write(write(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_damaged_files_beside_the_table_are_counted(tmp_path: Path) -> None:
    """Summaries and dead letters may be anything; they are left where they are."""
    runs = [one_run(n, kept=1, rejected={"not-json": 1}) for n in range(3)]
    table = write(tmp_path, [file(Destination("a", "b", 2021, 1, 8), 3)], runs, [letter("x", "y")])
    beside = Path(table.root, "_eventsift")
    (beside / "runs" / f"{run_id(1)}.json").write_text("{")
    (beside / "runs" / f"{run_id(7)}.json").write_bytes(
        (beside / f"runs/{run_id(2)}.json").read_bytes()
    )
    (beside / "runs" / "other.txt").write_text("")
    (beside / "rejects" / "9.jsonl").write_text('{"reason": 1}\nnonsense\n')
    (beside / "rejects" / "8.jsonl").mkdir()
    before = sorted(beside.rglob("*"))

    found = gather(table)

    assert [run.run for run in found.runs] == [run_id(0), run_id(2)]
    assert found.unreadable == 2
    assert [one.reason for one in found.letters] == ["x"]
    assert "2 summaries cannot be read" in figures(found, NOW).notes[0]
    assert sorted(beside.rglob("*")) == before


def test_samples_are_the_newest(tmp_path: Path) -> None:
    """A few for each reason, of the last run that has any; older runs fill up."""
    run = one_run(1, rejected={"not-json": 9, "truncated": 1})
    table = write(tmp_path, [], [run], [letter("truncated", "old"), letter("not-json", "old")])
    newer = Path(table.root, "_eventsift/rejects/z.jsonl")
    newer.write_bytes(
        b"".join(msgspec.json.encode(letter("not-json", f"{n}")) + b"\n" for n in range(9))
    )

    found = gather(table).letters

    assert [(one.reason, one.raw) for one in found] == [
        *(("not-json", f"{n}") for n in range(SAMPLES)),
        ("truncated", "old"),
    ]


class TestFlow:
    """The picture of the last run, and the sums beside it."""

    RUN = one_run(3, kept=70, superseded=20, exact=9, rejected={"not-json": 1})

    def test_the_equations(self) -> None:
        """They close, of the records and of the table's rows."""
        table = TableChange(rows=165, replaced_rows=5)
        flow = flow_of(one_run(3, kept=70, superseded=20, exact=9, rejected={"x": 1}, table=table))
        assert equation(flow) == (
            "100 read = 70 kept + 20 superseded + 9 exact duplicates + 1 rejected"
        )
        assert table_equation(flow) == "100 rows before + 70 kept \u2212 5 replaced = 165 rows now"
        assert flow.before + flow.kept - flow.replaced == flow.after

    def test_of_a_rebuild(self) -> None:
        """The table is what was kept, and had nothing before."""
        flow = flow_of(one_run(3, kept=70, rebuild=True))
        assert table_equation(flow) == "70 kept = 70 rows now"

    def test_one_row(self) -> None:
        """It is not called several."""
        one = flow_of(one_run(1, kept=1, table=TableChange(rows=1)))
        assert ">row now<" in picture(one, wide=True)
        assert table_equation(one) == "0 rows before + 1 kept = 1 row now"

    @pytest.mark.parametrize("wide", [True, False])
    @pytest.mark.parametrize(
        "run",
        [
            RUN,
            one_run(1, kept=1),
            one_run(1, rejected={"not-json": 10**9}),
            one_run(1),
            one_run(1, kept=10**12, superseded=1, exact=10**11, rejected={"x": 1}),
        ],
    )
    def test_the_picture(self, run: RunSummary, wide: bool) -> None:
        """Has every count, as well-formed SVG within its frame; bands have the shares' heights."""
        flow = flow_of(run)

        root = ElementTree.fromstring(str(picture(flow, wide=wide)))

        text = " ".join("".join(one.itertext()) for one in root.iter("text"))
        for number in (flow.read, *(band.records for band in flow.bands), flow.after):
            assert f"{number:,}" in text
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        for one in root.iter("text"):
            assert 0 <= float(one.attrib["x"]) <= width
            assert 0 <= float(one.attrib["y"]) <= height
        drawn = {one.attrib["class"] for one in root.iter("path")}
        for band in flow.bands:
            assert (band.kind in drawn) == (band.records > 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain é 漢字", "plain é 漢字"),
        ("a\u202eb", r"a\u202eb"),
        ("\ud800", r"\ud800"),
        ("\U000e0001", r"\U000e0001"),
        ("x" * 300, "x" * 239 + "…"),
        ("\n" * 300, r"\n" * 119 + "\\…"),
    ],
)
def test_visible(text: str, expected: str) -> None:
    """Every character shows; a long text is cut."""
    assert words.visible(text) == expected


def test_shares() -> None:
    """With as many digits as say something; what is there is not nothing."""
    cases = [(0, 10), (1, 10_000), (1, 100), (24, 1000), (1, 2), (7, 7), (0, 0)]
    assert [words.share(*case) for case in cases] == [
        "0 %", "less than 0.1 %", "1.0 %", "2.4 %", "50 %", "100 %", "0 %",
    ]  # fmt: skip


def test_when_a_run_began() -> None:
    """As its id says; another id is shown as it is."""
    assert words.began("20210108T101500-abcdef") == "8 Jan 2021, 10:15 UTC"
    assert words.began("r1") == "r1"
    assert words.began("20219908T101500-abcdef") == "20219908T101500-abcdef"


def test_the_style_has_both_schemes_and_paper() -> None:
    """Every colour is a variable that light, dark and paper each set."""
    style = build._style()
    light, dark, paper = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    names = [set(re.findall(r"(--\w+):", block)) for block in (light, dark, paper)]
    assert names[0] == names[1] == names[2]
    assert set(re.findall(r"var\((--\w+)\)", style)) == names[0]
    rules = re.sub(r":root \{.*?\}", "", style, flags=re.DOTALL)
    assert not re.search(r"#[0-9a-f]{3,6}\b", rules)


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where Python keeps compiled modules, and keeps none yet."""
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    build._template.cache_clear()
    yield tmp_path
    build._template.cache_clear()


def rendered() -> str:
    """A page, by a process that has made none before."""
    build._template.cache_clear()
    return build.render(figures(gathered(runs=[one_run(1)]), NOW))


def test_the_template_is_compiled_once(compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is kept where Python keeps its compiled modules."""
    page = rendered()
    (kept,) = (path for path in compiled.rglob("*") if path.is_file())
    assert kept.name.startswith("page.html.")
    monkeypatch.setattr(jinja2.Environment, "compile", None)
    assert rendered() == page


def test_what_was_compiled_is_compiled_again_when_it_is_old(
    compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the template, the way it is compiled, or jinja is newer.

    Seen to fail with a cache of jinja's, which knows the text of the template alone.
    """
    rendered()
    (kept,) = (path for path in compiled.rglob("*") if path.is_file())
    before = kept.read_bytes()
    real = os.stat
    for newer in ("page.html.jinja", "build.py", "jinja2/__init__.py"):
        kept.write_bytes(before)

        def later(path: Any, *more: Any, newer: str = newer, **named: Any) -> Any:
            found = real(path, *more, **named)
            if not str(path).endswith(newer):
                return found
            return SimpleNamespace(st_mtime=2e9, st_size=found.st_size, st_mode=found.st_mode)

        monkeypatch.setattr(os, "stat", later)
        rendered()
        monkeypatch.setattr(os, "stat", real)
        assert kept.read_bytes() != before, newer


def test_the_template_is_compiled_where_nothing_is_kept(
    compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the environment says so, or the folder belongs to somebody else."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert "</html>" in rendered()
    assert not [*compiled.iterdir()]
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", "/dev/null")
    assert "</html>" in rendered()
