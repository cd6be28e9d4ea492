"""Catalogues beside the table: what each run has seen in `data`, see `catalogue`, the package.

A run keeps its own in a file of its own, so none is lost or counted twice, whoever writes it and
how often. When there are many, they are also kept as one, `_SO_FAR`, which names the runs in it;
their own files are removed when `_SO_FAR` is next made. Until then, a run that has read an older
`_SO_FAR` still finds them.

Catalogues of runs before the last rebuild are void, as is what was kept of another table.
"""

from collections.abc import Iterator, Sequence

import msgspec

from pipeline import storage
from pipeline.bookkeeping import state
from pipeline.bookkeeping.state import DamagedError
from pipeline.catalogue import merging
from pipeline.catalogue.nodes import Catalogue
from pipeline.storage.paths import STATE
from pipeline.table.delta import Lineage

CATALOGUES = f"{STATE}/catalogue"

# A run's id does not begin like this.
_SO_FAR = "_so-far.json"
# Every run reads what is kept: so many files at most, beside those of the last time.
_MANY = 16
# So many of the last runs are known by name, in case one is healed, and so kept again.
_NAMES = 10_000
# A thousand types with a thousand fields each.
_LIMIT_BYTES = 256 << 20


class Kept(msgspec.Struct, frozen=True):
    """A catalogue as it is stored.

    Attributes:
        runs: The runs whose events it is about; of very many, the last ones.
        table: The table's identity.
        version: The version that the first of these runs has made.
        catalogue: What they have seen.
    """

    runs: list[str]
    table: str
    version: int
    catalogue: Catalogue


class _Found(msgspec.Struct, frozen=True):
    """What is kept beside a table.

    Attributes:
        so_far: `_SO_FAR`; None if there is none that counts.
        own: The catalogues of other runs that count.
        files: Every run's file, also those that are in `so_far`, by run.
        void: The files of runs that a rebuild has dropped.
    """

    so_far: Kept | None
    own: list[Kept]
    files: dict[str, str]
    void: list[str]

    @property
    def catalogue(self) -> Catalogue:
        """All of it."""
        every = [*filter(None, [self.so_far]), *self.own]
        return merging.merge_all(kept.catalogue for kept in every)


def load(root: str, lineage: Lineage, besides: str = "") -> Catalogue:
    """Returns what the runs of a table have seen.

    Args:
        root: The table.
        lineage: Of the table as it is now.
        besides: A run that is left out.
    """
    return _load(root, lineage, besides).catalogue


def keep(root: str, run_id: str, version: int, lineage: Lineage, catalogue: Catalogue) -> Catalogue:
    """Keeps what a run has seen; to do so again changes nothing.

    Args:
        root: The table.
        run_id: The run, which is published.
        version: The version that made its events live.
        lineage: Of the table as it is now.
        catalogue: What it has seen.

    Returns:
        What all other runs have seen.
    """
    before = _load(root, lineage, run_id)
    own = Kept([run_id], lineage.identity, version, merging.met_by(catalogue, run_id))
    is_brought = before.so_far is not None and run_id in before.so_far.runs
    if catalogue.payloads and not is_brought:
        storage.write_bytes(_path(root, run_id), msgspec.json.encode(own))
    seen = before.catalogue
    if len(before.own) >= _MANY:
        _bring_together(root, before, seen)
    storage.delete(before.void)
    return seen


def _bring_together(root: str, found: _Found, seen: Catalogue) -> None:
    """Makes one file of all catalogues; those that were in it before need no file any more."""
    every = [*filter(None, [found.so_far]), *found.own]
    named = [run for kept in every for run in kept.runs]
    done = [] if found.so_far is None else [run for run in found.files if run in found.so_far.runs]
    so_far = Kept(
        sorted(named)[-_NAMES:],
        every[0].table,
        min(kept.version for kept in every),
        seen,
    )
    content = msgspec.json.encode(so_far)
    if len(content) > _LIMIT_BYTES:
        return
    storage.write_bytes(storage.join(root, CATALOGUES, _SO_FAR), content)
    storage.delete([found.files[run] for run in done])


def _load(root: str, lineage: Lineage, besides: str) -> _Found:
    paths = [file.path for file in storage.list_files(storage.join(root, CATALOGUES))]
    files = {
        path.rpartition("/")[2].removesuffix(".json"): path
        for path in paths
        if path.endswith(".json") and not path.endswith(_SO_FAR)
    }
    one = [path for path in paths if path.endswith(f"/{_SO_FAR}")]
    so_far = next((kept for _, kept in _read(one, lineage) if _counts(kept, lineage)), None)
    known = so_far.runs if so_far else []
    asked = [path for run, path in files.items() if run not in known and run != besides]
    own, void = [], []
    for path, kept in _read(asked, lineage):
        if _counts(kept, lineage):
            own.append(kept)
        else:
            void.append(path)
    return _Found(so_far, own, files, void)


def _counts(kept: Kept, lineage: Lineage) -> bool:
    """Tells whether no rebuild has made a catalogue of this table void."""
    return kept.version >= lineage.rebuilt


def _read(paths: Sequence[str], lineage: Lineage) -> Iterator[tuple[str, Kept]]:
    """Yields the catalogues of this table that can be read, of these files."""
    contents = storage.each(_content, paths, paths[0]) if paths else ()
    for path, content in zip(paths, contents, strict=True):
        try:
            kept = msgspec.json.decode(content, type=Kept)
        except (ValueError, RecursionError):
            continue
        if kept.table == lineage.identity:
            yield path, kept


def _content(path: str) -> bytes:
    """Returns the content of a file; nothing if it cannot be read, or is gone."""
    try:
        return state.read(path, _LIMIT_BYTES)
    except (DamagedError, OSError):
        return b""


def _path(root: str, run_id: str) -> str:
    return storage.join(root, CATALOGUES, f"{run_id}.json")
