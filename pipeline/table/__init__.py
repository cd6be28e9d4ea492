"""The Delta table: its log, its files, and when they go.

`address` (which table), `datafiles` (what a data file is), `layout` (what a table keeps of how it
was made), `delta` (opening the log: snapshots), `commits` (publishing a run), `settling` (files get
their places, and superseded ones go), `deletable` (which files nobody needs any more), `log` (what
deltalake does not tell of the log), `retention` (how long things stay).

The protocol. A reader of the Delta log and a reader of the plain Parquet files see the same rows,
and neither ever sees half a run:

1. The pipeline writes its data files to `datafiles.new_path`, in a folder hidden from plain
   readers. A data file's partition values are in the log's add action, not in its path (Delta
   protocol, "Add File and Remove File"), so it may lie anywhere under the table.
2. `commits.commit` adds these files and removes those they supersede in one atomic Delta commit.
   Delta readers now see the new table, plain readers still the old one.
3. `settling.settle` gives every file that the log has under the hidden folder its place in its
   partition, then deletes the superseded files (from here plain readers see the new table, too),
   then commits the new paths (`dataChange` false: same rows), then deletes the hidden names.

Killed at any point, the table is right for Delta readers, and for plain readers it is old, or new,
or (within step 3) both at once. A row may be seen twice for a moment, but is never missing. Every
run begins with `settle` (in `recovery.heal`), which finishes the work from what the log and the
folders say.

Why two `settle` at once, or one beside another run, cannot harm:

- Names are never used twice. A file appears in a partition only after its commit. `settle` lists
  the files *before* it reads the log: a listed file that this log does not hold was superseded and
  cannot come back, and a file that appears later is not in the list.
- Each commit fails if any other commit has come since the log was read. `settle` then starts over.
- Files of a run that is not in the log may belong to a run that is still working. They are deleted
  when its lease shows that it is dead, or where there is no lease, when they are
  `retention.ABANDONED_SECONDS` old. And `commit` checks that all of its files are there.
- What another Delta tool has written and not yet committed is left alone, at any age. Only its
  RESTORE brings removed files back; should one come between our look at the log and our deletion,
  it names files that are missing, as it does when it comes a moment later.
"""
