"""The independent check of a table: `check` is the command, `rows` checks the rows of a file."""
