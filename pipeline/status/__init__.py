"""How a table is doing: ``status``, from the log and from what its runs have left beside it.

`facts` (what is told), `table` (what the log says), `runs` (what the runs have left), `waiting`
(what is in the input and not published), `files` (what is published, file by file), `text` (all of
it for people), `check` (the command). Nothing is written, and no data file is opened.
"""
