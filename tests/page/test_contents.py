"""The fields of `data` on the page."""

import json

from pipeline.catalogue import observe
from pipeline.catalogue.changes import TypeChange
from pipeline.catalogue.nodes import Catalogue
from pipeline.catalogue.observe import Payload
from pipeline.page import build
from pipeline.page.contents import FieldRow, contents
from pipeline.page.figures import figures
from tests.page.figures_by_hand import NOW, gathered, one_run

DAY = 86_400_000_000


def seen(*values: object) -> Catalogue:
    """What a run has seen: an event each day."""
    return observe.observe(
        Payload("card", "issued", day * DAY, json.dumps(value)) for day, value in enumerate(values)
    )


def test_fields() -> None:
    """Each with its types, its share, and the days of its events."""
    found = contents(seen({"id": 1}, {"id": None, "to": ["x", "y"]}), None)
    assert found is not None
    assert found.fields == [
        FieldRow("card / issued", "id", "null and integer", "100 %", "1970-01-01", "1970-01-02"),
        FieldRow("card / issued", "to", "array", "50 %", "1970-01-02", "1970-01-02"),
        FieldRow("card / issued", "to[*]", "string", "100 %", "1970-01-02", "1970-01-02"),
    ]
    assert (found.payloads, found.types, found.changes, found.more) == (2, 1, [], 0)


def test_changes_of_the_last_run() -> None:
    """Also if runs after it have found nothing to read."""
    change = TypeChange("card", "issued", new=2, new_paths=["$.tags", "$.to"])
    runs = [one_run(1, kept=1, fields=[change]), one_run(2, files=0)]
    page = build.render(figures(gathered(runs=runs, catalogue=seen({"id": 1})), NOW))
    assert "<li><bdi>card/issued: 2 new fields (tags, to)</bdi></li>" in page


def test_many_fields() -> None:
    """The page stays small, and says what it leaves out."""
    many = Catalogue(
        [
            entry
            for number in range(5)
            for entry in observe.observe(
                [Payload("d", str(number), 0, json.dumps({f"f{n}": n for n in range(400)}))]
            ).types
        ],
        5,
    )
    found = contents(many, None)
    assert found is not None
    assert (len(found.fields), found.more) == (1_000, 1_000)


def test_nothing_is_known() -> None:
    """The section is left out: a table of an earlier version."""
    assert contents(Catalogue(), None) is None
    assert 'id="data"' not in build.render(figures(gathered(runs=[one_run(1)]), NOW))
