"""The Delta table and its files.

`table` (snapshot and commit), `settling` (which files nobody needs any more), `log` (what
deltalake does not tell of the log), `datafiles` (what a data file is), `live_rows` (reading them,
whoever wrote them), `parquet` (writing them).
"""
