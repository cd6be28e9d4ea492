"""What all steps before the commit have to say, and what the run is about to change."""

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.catalogue import merging, nodes
from pipeline.catalogue.nodes import Catalogue
from pipeline.keys.partitions import directory
from pipeline.run import Run
from pipeline.steps.plan import Plan
from pipeline.steps.tally import Tally
from pipeline.steps.write import Written
from pipeline.table.datafiles import DataFile


class Outcome(NamedTuple):
    """All that the steps before have to say.

    Attributes:
        plans: The run's plan; more than one, or none, if the runner has erred.
        tallies: Of every call of every step.
        written: Of every destination with new or replaced files.
        dead_letters: Staged files with rejects.
        catalogues: What was seen in samples of the events, encoded.
    """

    plans: Sequence[Plan]
    tallies: Sequence[Tally]
    written: Sequence[Written]
    dead_letters: Sequence[str]
    catalogues: Sequence[bytes] = ()

    def catalogue(self) -> Catalogue:
        """What was seen in the events."""
        return merging.merge_all(map(nodes.decode, self.catalogues))


class Change(NamedTuple):
    """What a run is about to change in the table.

    Attributes:
        add: New data files.
        replaced: Live files whose rows are superseded, or in `add`.
        remove: All live files that leave the table: `replaced`, or every one in a rebuild.
    """

    add: Sequence[DataFile]
    replaced: Sequence[DataFile]
    remove: Sequence[DataFile]

    @property
    def partitions(self) -> set[str]:
        """The partitions that get new files."""
        return {directory(file.destination) for file in self.add}

    @property
    def types_written_only(self) -> list[tuple[str, str]]:
        """The types that get new files and lose none; if the table has no others, they are new."""
        written, lost = (
            {file.destination[:2] for file in files} for files in (self.add, self.remove)
        )
        return sorted(written - lost)

    def counts(self, outcome: Outcome) -> dict[str, int]:
        """Returns what the commit has to say, for `tally.disagreements`."""
        return {
            "commit.files": len(self.add),
            "commit.replaced": len(self.replaced),
            "commit.dead_letter_files": len(outcome.dead_letters),
            "commit.rows_added": sum(file.rows for file in self.add),
            "commit.rows_replaced": sum(file.rows for file in self.replaced),
        }


def change_of(run: Run, outcome: Outcome, live: Sequence[DataFile]) -> Change:
    """Returns what the steps before have prepared.

    Args:
        run: The run.
        outcome: What they have to say.
        live: The table's live files.
    """
    add = [file for written in outcome.written for file in written.files]
    replaced = [file for written in outcome.written for file in written.replaced]
    return Change(add, replaced, live if run.rebuild and add else replaced)
