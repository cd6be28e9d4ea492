from collections import Counter

import pytest

from pipeline.steps.tally import EQUATIONS, Tally, add_up, disagreements

# A run that merges into a table: 20 events in 2 blocks, of which 2 are rejected, 3 superseded and
# 1 an exact duplicate; 3 of 10 rows in the 2 live files touched are superseded.
AGREEING = Counter(
    {
        "plan.blocks": 2,
        "plan.bytes": 4000,
        "plan.live_files": 3,
        "plan.comparisons": 6,
        "read.blocks": 2,
        "read.bytes": 4000,
        "read.events": 20,
        "read.rejected": 2,
        "read.dead_letter_files": 1,
        "read.versions": 18,
        "read.slices": 5,
        "read.sampled": 9,
        "scan.live_files": 3,
        "scan.versions": 4,
        "scan.comparisons": 6,
        "latest.versions": 22,
        "latest.superseded": 6,
        "latest.exact_duplicates": 1,
        "latest.superseded_events": 3,
        "latest.exact_duplicate_events": 1,
        "route.live_files": 3,
        "route.blocks": 2,
        "route.slices": 5,
        "route.superseded": 7,
        "write.slices": 5,
        "route.live_files_left": 1,
        "write.live_files": 2,
        "write.superseded": 7,
        "write.kept": 14,
        "write.files": 4,
        "write.replaced": 2,
        "commit.files": 4,
        "commit.replaced": 2,
        "commit.dead_letter_files": 1,
        "commit.sampled": 9,
        "commit.rows_added": 21,
        "commit.rows_replaced": 10,
    }
)
TERMS = [(rule, name) for rule, left, right in EQUATIONS for name in (*left, *right)]


def test_a_run_whose_counts_agree_is_published() -> None:
    """No equation is wrong of a run that went well."""
    assert disagreements(AGREEING) == []


@pytest.mark.parametrize(("rule", "name"), TERMS)
@pytest.mark.parametrize("off", [-1, 1])
def test_each_equation_sees_each_of_its_terms(rule: str, name: str, off: int) -> None:
    """One element lost or doubled, on either side of a hop, shows (invariant 3).

    Seen to fail with any one equation made an inequality, and with a term left out of one.
    """
    counts = AGREEING.copy()
    counts[name] += off
    assert any(found.startswith(f"{rule}: ") for found in disagreements(counts))


def test_the_example_has_every_term() -> None:
    """A count that is 0 in the example could be misspelt in an equation without being noticed."""
    assert {name for _, name in TERMS} <= set(AGREEING)


def test_a_disagreement_shows_both_numbers() -> None:
    """The message says which rule is broken, and by how much."""
    counts = AGREEING + Counter({"plan.bytes": 1_000_000})
    assert disagreements(counts) == ["bytes planned = bytes read: 1,004,000 is not 4,000"]


def test_tallies_add_up_by_step() -> None:
    """Counts of one name of two steps are two counts; seconds add up over calls."""
    sums = add_up(
        [
            Tally("read", {"blocks": 1, "bytes": 10}, 0.5),
            Tally("route", {"blocks": 2}, 0.0),
            Tally("read", {"blocks": 1}, 0.25),
        ]
    )
    assert sums.counts == {"read.blocks": 2, "read.bytes": 10, "route.blocks": 2}
    assert sums.seconds == {"read": 0.75, "route": 0.0}


def test_a_lost_tally_is_a_disagreement() -> None:
    """Tallies are elements, too: without those of a step its counts are 0."""
    for step in ("plan", "read", "scan", "latest", "route", "write", "commit"):
        left = {name: n for name, n in AGREEING.items() if not name.startswith(f"{step}.")}
        assert disagreements(Counter(left)), step
