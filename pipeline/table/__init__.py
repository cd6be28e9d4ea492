"""The Delta table: its log, its files, and when they go.

`delta` (snapshot, commit, settling), `deletable` (which files nobody needs any more), `log` (what
deltalake does not tell of the log), `datafiles` (what a data file is), `retention` (how long things
stay).
"""
