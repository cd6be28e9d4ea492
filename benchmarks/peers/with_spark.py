"""The table with Spark on all cores: ``python -m benchmarks.peers.with_spark INPUT OUTPUT``."""

import os
import sys

from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as F


def main(pattern: str, output: str) -> None:
    """Reads the files that `pattern` matches and writes the table to `output`."""
    # Half of the machine for the heap: Spark's default of 1 GiB spills and collects garbage.
    heap_mib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2 >> 20
    spark = (
        SparkSession.builder.master("local[*]")
        .config("spark.driver.memory", f"{heap_mib}m")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.parquet.compression.codec", "zstd")
        .config("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
        .getOrCreate()
    )
    newest_first = Window.partitionBy("event_id").orderBy(F.desc("timestamp"), F.desc("data"))
    (
        spark.read.schema(
            "event_id STRING, timestamp STRING, domain STRING, event_type STRING, data STRING"
        )
        .json(pattern)
        .withColumn("timestamp", F.col("timestamp").cast("timestamp"))
        .withColumn("rank", F.row_number().over(newest_first))
        .where("rank = 1")
        .drop("rank")
        .withColumns({part: getattr(F, part)("timestamp") for part in ("year", "month")})
        .withColumn("day", F.dayofmonth("timestamp"))
        .write.partitionBy("domain", "event_type", "year", "month", "day")
        .parquet(output)
    )
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
