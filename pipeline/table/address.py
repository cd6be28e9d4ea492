"""Which table, and how to reach it. Imports nothing that takes time: everybody may name a table."""

from collections.abc import Mapping
from typing import NamedTuple


class Table(NamedTuple):
    """A table: where it lies, and what its log is opened with.

    What reads and writes files only needs the root; what opens the log needs all of it.

    Attributes:
        root: Its folder or URI.
        storage_options: What deltalake needs to reach the table's store; nothing for a local one.
    """

    root: str
    storage_options: Mapping[str, str] = {}
