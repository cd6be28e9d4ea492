"""JSON Schemas as files: ``DIR/<domain>/<event_type>.json``, named as partitions are."""

import msgspec

from pipeline import storage
from pipeline.catalogue.nodes import Catalogue
from pipeline.catalogue.schema import schema
from pipeline.keys import partitions


def path(folder: str, domain: str, event_type: str) -> str:
    """Returns where the schema of a type lies."""
    name = f"{partitions.encode(event_type)}.json"
    return storage.join(folder, partitions.encode(domain), name)


def write(catalogue: Catalogue, folder: str, *, examples: bool) -> int:
    """Writes the schema of each type.

    Args:
        catalogue: Of a whole table: the schemas accept what it has seen, no more.
        folder: Where to.
        examples: Whether values of the data may stand in the schemas.

    Returns:
        How many there are.
    """
    for entry in catalogue.types:
        content = msgspec.json.encode(schema(entry, examples=examples))
        where = path(folder, entry.domain, entry.event_type)
        storage.write_bytes(where, msgspec.json.format(content) + b"\n")
    return len(catalogue.types)
