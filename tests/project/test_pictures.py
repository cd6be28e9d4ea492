"""The pictures of the documentation are there, small, and of what they show."""

import re
from xml.etree import ElementTree

from tests.project import pictures
from tests.project.pictures import FOLDER, ROOT, Measured

SVG = "{http://www.w3.org/2000/svg}"
# Everybody who clones the project gets them, and each of their versions.
MOST_BYTES = 600_000


def test_they_are_small_and_each_is_shown() -> None:
    """A picture that no page shows is left over; one that is missing leaves a hole."""
    found = {path.name for path in FOLDER.iterdir()}
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    shown = {name for page in pages for name in re.findall(r"pictures/([\w.-]+)", page.read_text())}
    assert shown == found
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < MOST_BYTES


def test_the_picture_of_speed_is_of_the_page() -> None:
    """Every program and number of events of the first tables, with the seconds they took.

    After a new measurement: `./run.sh pictures`.
    """
    rows = list(pictures.measured((ROOT / "docs" / "speed.md").read_text()))
    assert {row.events for row in rows} == {"1 million", "10 million", "50 million"}
    assert sum(row.program == "eventsift" for row in rows) == 3
    assert (FOLDER / "speed.svg").read_text() == pictures.speed(
        (ROOT / "docs" / "speed.md").read_text()
    )


def test_a_table_of_speed_is_read() -> None:
    """By its programs without versions, up to the text that follows the tables."""
    page = """## Next to other programs
1 million events, 271 MB:
|                      | wall s | to DuckDB |
| -------------------- | -----: | --------: |
| DuckDB COPY 2.0.0    |    1.6 |      1.00 |
| **eventsift**        |   12.7 |      1.58 |
| Spark local[*] 4.1.4 |   19.8 |     12.07 |
| stock Beam 2.77.0    |   30.8 |     19.62 |
**Growth.** A million
| other                |    1.0 |
"""
    assert list(pictures.measured(page)) == [
        Measured("1 million", "DuckDB", 1.6),
        Measured("1 million", "eventsift", 12.7),
        Measured("1 million", "Spark", 19.8),
        Measured("1 million", "stock Beam", 30.8),
    ]


def test_a_picture_of_a_terminal_has_what_was_printed() -> None:
    """Line by line, also what means something in XML."""
    root = ElementTree.fromstring(pictures.terminal("$ run <a> & b\n  1 read\n"))
    assert [text.text for text in root.iter(f"{SVG}text")] == ["$ run <a> & b", "  1 read"]
