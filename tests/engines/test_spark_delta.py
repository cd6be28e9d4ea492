"""Spark's Delta writes to our tables: the next delivery merges right all the same."""

import pathlib
import subprocess
import sys
from collections.abc import Callable

import pytest
from deltalake import DeltaTable

from pipeline.verify.check import verify
from tests.apparatus import install
from tests.commands import run_here
from tests.deliveries import Event, deliver
from tests.tables import plain_rows

pytest.importorskip("pyspark", reason="needs pyspark, which ./run.sh test-engines installs")

# What another tool does, and the events that must be there after the next delivery.
OPERATIONS = {
    "delete": ("DELETE FROM {t} WHERE event_id = 'a'", {"a": "11", "b": "22", "c": "3", "e": "5"}),
    "delete what is not delivered again": (
        "DELETE FROM {t} WHERE event_id = 'c'",
        {"a": "11", "b": "22", "e": "5"},
    ),
    "update": (
        "UPDATE {t} SET data = '7' WHERE event_id IN ('a', 'c')",
        {"a": "11", "b": "22", "c": "7", "e": "5"},
    ),
    "append": (
        "INSERT INTO {t} VALUES ('z', TIMESTAMP '2021-01-08 10:00:00', CAST(0 AS SMALLINT), '1',"
        " NULL, 'd', 't', 2021, 1, 8)",
        {"a": "11", "b": "22", "c": "3", "e": "5", "z": "1"},
    ),
    "merge": (
        "MERGE INTO {t} t USING (SELECT 'b' AS event_id) s ON t.event_id = s.event_id"
        " WHEN MATCHED THEN UPDATE SET data = '7'",
        {"a": "11", "b": "7", "c": "3", "e": "5"},
    ),
    "overwrite": (
        "INSERT OVERWRITE {t} SELECT * FROM {t} WHERE event_id = 'b'",
        {"a": "11", "b": "22", "e": "5"},
    ),
    "optimize": ("OPTIMIZE {t}", {"a": "11", "b": "22", "c": "3", "e": "5"}),
    "z-order": ("OPTIMIZE {t} ZORDER BY (event_id)", {"a": "11", "b": "22", "c": "3", "e": "5"}),
    "vacuum": ("VACUUM {t} RETAIN 0 HOURS", {"a": "11", "b": "22", "c": "3", "e": "5"}),
}

# One process for all of them: a session takes longer to start than an operation.
SPARK = """
import sys

from pyspark.sql import SparkSession

jars, *statements = sys.argv[1:]
settings = {
    "spark.jars": jars,
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.databricks.delta.retentionDurationCheck.enabled": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "1",
    "spark.ui.enabled": "false",
}
builder = SparkSession.builder.master("local[1]")
for name, value in settings.items():
    builder = builder.config(name, value)
spark = builder.getOrCreate()
for statement in statements:
    spark.sql(statement).collect()
spark.stop()
"""


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], pathlib.Path]:
    """A folder for each operation, with a table that has gone through it."""
    try:
        jars = ",".join(map(str, install.jars("delta").glob("*.jar")))
    except install.MissingError as missing:
        pytest.skip(str(missing))
    base = tmp_path_factory.mktemp("spark")
    statements = []
    for number, (statement, _) in enumerate(OPERATIONS.values()):
        folder = base / str(number)
        (folder / "in").mkdir(parents=True)
        deliveries = (
            [Event("a", "2021-01-08T10:00:00", 1), Event("b", "2021-01-08T10:00:00", 2)],
            [Event("b", "2021-01-09T10:00:00", 22), Event("c", "2021-01-08T10:00:00", 3)],
        )
        for name, delivery in enumerate(deliveries):
            deliver(folder / "in" / f"{name}.jsonl", delivery)
            run_here(folder / "in", folder / "table")
        statements.append(statement.format(t=f"delta.`{folder / 'table'}`"))
    subprocess.run([sys.executable, "-c", SPARK, jars, *statements], check=True, timeout=600)
    names = list(OPERATIONS)
    return lambda name: base / str(names.index(name))


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_next_delivery_merges_right(tables: Callable[[str], pathlib.Path], name: str) -> None:
    """Deleted rows stay deleted, plain readers see what Delta readers see, the check agrees."""
    folder = tables(name)
    root = folder / "table"
    news = [Event("a", "2021-01-10T10:00:00", 11), Event("e", "2021-01-08T10:00:00", 5)]
    deliver(folder / "in" / "next.jsonl", news)

    run_here(folder / "in", root)

    rows = DeltaTable(str(root)).to_pyarrow_table().select(["event_id", "data"]).to_pylist()
    assert sorted((row["event_id"], row["data"]) for row in rows) == sorted(
        OPERATIONS[name][1].items()
    )
    assert sum(plain_rows(root).values()) == len(rows)
    assert verify(str(root)).findings == []
