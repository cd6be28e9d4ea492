"""Makes the pictures of the documentation, from real runs: `./run.sh pictures`.

* `page-light.png`, `page-dark.png`, `page-phone.png`: the page of a table after twelve deliveries
  of the generator, in Chromium;
* `terminal.svg`: what the last of these runs printed;
* `speed.svg`: the seconds of the first tables in `docs/speed.md`, as `./run.sh bench build` gives.

Times differ from machine to machine, and so do the pictures; nothing else should.
"""

from __future__ import annotations

import datetime
import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "pictures"
DELIVERIES = 12
# What the pictures show instead of a temporary folder.
SHOWN = "/data"
# A program, without its version and the like, and its seconds.
_ROW = re.compile(r"\| \**(\w+(?: [A-Z][a-z]+)?)[^|]*\| +([\d.]+) \|")
# An SVG of GitHub's is an image: it has no style but its own, and follows the reader's scheme.
STYLE = """
text { font: 13px ui-monospace, SFMono-Regular, Menlo, "Liberation Mono", monospace; }
text { fill: #1d2125; }
.ground { fill: #fcfcfb; stroke: #d9dcda; } .soft { fill: #565d64; } .main { fill: #1c6aa3; }
.pale { fill: #8ba3b5; } .words text, text.words { font-family: system-ui, sans-serif; }
@media (prefers-color-scheme: dark) {
text { fill: #e8eaeb; } .ground { fill: #15181b; stroke: #363c42; } .soft { fill: #a4acb3; }
.main { fill: #6db3e5; } .pale { fill: #71899b; } }
"""


def main() -> None:
    """Makes them all."""
    with tempfile.TemporaryDirectory() as folder:
        printed = deliver(Path(folder))
        printed = printed.replace(folder, SHOWN).replace(sys.executable, "python")
        (FOLDER / "terminal.svg").write_text(terminal(printed))
        page = Path(folder, "events", "_eventsift", "page.html")
        page.write_text(page.read_text().replace(folder, SHOWN))
        photograph(page)
    (FOLDER / "speed.svg").write_text(speed((ROOT / "docs" / "speed.md").read_text()))
    for path in sorted(FOLDER.glob("*.[ps][nv]g")):
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes")


def deliver(folder: Path) -> str:
    """Publishes deliveries, the last one up to yesterday; returns what its run printed."""
    known = file = 0
    printed = ""
    for number in range(DELIVERIES):
        first = datetime.date.today() - datetime.timedelta(days=DELIVERIES + 6 - number)
        events = 20_000 + number * 7919 % 9000
        broken = 0.02 if number == 7 else 0.002
        done = command(
            folder, "generate", f"--events={events}", "--files=3", "--seed=1", f"--start={first}",
            "--days=7", "--duplicates=0.2", f"--broken={broken}", f"--known-ids={known}",
            f"--first-file={file}", "--output=in",
        )  # fmt: skip
        known, file = map(int, re.findall(r"--(?:known-ids|first-file) (\d+)", done))
        printed = command(folder, "run", "--input=in/*", "--output=events")
    return f"$ eventsift run --input 'in/*' --output events\n{printed}"


def command(folder: Path, *arguments: str) -> str:
    """Runs a command of eventsift; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def photograph(page: Path) -> None:
    """Photographs the beginning of a page, for a screen and for a phone."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next(filter(None, map(shutil.which, names)))
    shots = (
        ("page-light", "light", 1080, 1230, 1),
        ("page-dark", "dark", 1080, 1230, 1),
        ("page-phone", "light", 390, 844, 1.5),
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        for name, scheme, width, height, scale in shots:
            shot = browser.new_page(
                viewport={"width": width, "height": height},
                color_scheme=scheme,
                device_scale_factor=scale,
            )
            shot.goto(f"file://{page}")
            picture = Image.open(io.BytesIO(shot.screenshot())).convert("RGB")
            picture.quantize(64, dither=Image.Dither.NONE).save(
                FOLDER / f"{name}.png", optimize=True
            )
        browser.close()


def terminal(printed: str) -> str:
    """Returns what a command printed as a picture of a terminal."""
    lines = printed.rstrip("\n").split("\n")
    width, height = 24 + 7.83 * max(map(len, lines)), 24 + 18 * len(lines)
    text = "".join(
        f'<text x="12" y="{26 + 18 * number}" xml:space="preserve">{escape(line)}</text>'
        for number, line in enumerate(lines)
    )
    return svg(width, height, text, f"What a run prints: {lines[0]}")


class Measured(NamedTuple):
    """How long a program took for some events."""

    events: str
    program: str
    seconds: float


def measured(page: str) -> Iterator[Measured]:
    """Yields what the first tables of the page on speed say."""
    events = ""
    for line in page[page.index("## Next to other programs") :].splitlines():
        if found := re.match(r"(\d+ million)(?: events)?, ", line):
            events = found[1]
        elif line.startswith("**Growth."):
            return
        elif row := _ROW.match(line):
            yield Measured(events, row[1], float(row[2]))


def speed(page: str) -> str:
    """Returns the seconds by program and number of events, as bars; each number has its scale."""
    parts, y = [], 14
    rows = list(measured(page))
    for events in dict.fromkeys(row.events for row in rows):
        some = [row for row in rows if row.events == events]
        most = max(row.seconds for row in some)
        y += 18
        parts.append(f'<text x="14" y="{y}" font-weight="600">{events} events</text>')
        for row in some:
            y += 22
            tone = "main" if row.program == "eventsift" else "pale"
            length = 360 * row.seconds / most
            parts.append(
                f'<text x="14" y="{y}">{escape(row.program)}</text>'
                f'<rect class="{tone}" x="130" y="{y - 11}" width="{length:.1f}" height="13"/>'
                f'<text class="soft" x="{138 + length:.1f}" y="{y}">{row.seconds:g} s</text>'
            )
        y += 14
    text = f'<g class="words">{"".join(parts)}</g>'
    return svg(570, y + 8, text, "Seconds by program and number of events")


def svg(width: float, height: float, content: str, title: str) -> str:
    """Returns a picture with a frame."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}"'
        f' width="{width:.0f}" height="{height:.0f}" role="img"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style>"
        f'<rect class="ground" x=".5" y=".5" width="{width - 1:.0f}" height="{height - 1:.0f}"'
        f' rx="6"/>'
        f"{content}</svg>\n"
    )


if __name__ == "__main__":
    main()
