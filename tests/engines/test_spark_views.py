"""``views --dialect spark`` in Spark itself: every view returns every row, with its values."""

import collections
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.command import console
from pipeline.describe import views_command
from tests.apparatus import install
from tests.commands import in_process, run_here
from tests.describe.tables import ORDINARY, deliveries

pytest.importorskip("pyspark", reason="needs pyspark, which ./run.sh test-engines installs")

SPARK = """
import json, sys

from pyspark.sql import SparkSession

jars, statements, found = sys.argv[1:]
settings = {
    "spark.jars": jars,
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.warehouse.dir": found + "-warehouse",
    "spark.ui.enabled": "false",
}
builder = SparkSession.builder.master("local[1]")
for name, value in settings.items():
    builder = builder.config(name, value)
spark = builder.getOrCreate()
for statement in open(statements).read().split(";\\n"):
    lines = [line for line in statement.splitlines() if not line.startswith("--")]
    if "".join(lines).strip():
        spark.sql("\\n".join(lines))
rows = {
    view.name: [row.asDict() for row in spark.table(view.name).collect()]
    for view in spark.catalog.listTables()
}
json.dump(rows, open(found, "w"), default=str)
spark.stop()
"""


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """The rows of each view, as Spark returns them."""
    try:
        jars = ",".join(map(str, install.jars("delta").glob("*.jar")))
    except install.MissingError as missing:
        pytest.skip(str(missing))
    folder = tmp_path_factory.mktemp("spark")
    deliveries(folder)
    run_here(folder / "in", folder / "table")
    arguments = ("--output", folder / "table", "--dialect", "spark")
    printed = in_process(*arguments, main=views_command.main)
    assert printed.status == console.DONE
    (folder / "views.sql").write_text(printed.out)
    found = folder / "found.json"
    subprocess.run(
        [sys.executable, "-c", SPARK, jars, str(folder / "views.sql"), str(found)],
        check=True,
        timeout=600,
    )
    result: dict[str, list[dict[str, Any]]] = json.loads(found.read_text())
    return result


def test_every_view_returns_every_row(
    views: dict[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    """With `data` as it was delivered."""
    expected = collections.Counter(
        (event.domain, event.event_type, str(event.data)) for event in deliveries(tmp_path)
    )
    rows = [row for rows in views.values() for row in rows]
    found = collections.Counter((row["domain"], row["event_type"], row["data"]) for row in rows)
    assert found == expected
    for own in views.values():
        assert len({(row["domain"], row["event_type"]) for row in own}) == 1


def test_values(views: dict[str, list[dict[str, Any]]]) -> None:
    """Typed columns, as in DuckDB."""
    rows = sorted(views["account_status_change"], key=lambda row: int(row["id"]))
    assert [row["id"] for row in rows] == [value["id"] for value in ORDINARY]
    assert [row["reason"] for row in rows] == ["It was paid.", None, None, None, None]
    assert [row["to_zip"] for row in rows] == [None, None, 12345, None, None]
    assert [row["ok"] for row in rows] == [None, None, None, True, False]
    assert [row["rate"] for row in rows] == [None, None, None, 1.0, 1.5]
    assert json.loads(rows[3]["items"]) == ORDINARY[3]["items"]
