"""The story is true: run again, its code shows what the notebook has kept."""

import json
import re

import pytest

from tests.project import notebook
from tests.project.notebook import STORY

pytest.importorskip("matplotlib", reason="for the notebook's plots")
# On Python 3.10 there is only pandas 2.3, with which the story compares: it loses some offsets.
pytest.importorskip("pandas", minversion="3", reason="pandas 2 loses some timestamps' offsets")


def test_the_story_shows_what_its_code_does() -> None:
    """Every number and every table in it, word by word; of pictures, that there is one.

    What pandas prints is compared without its spaces: they depend on its version.
    """
    kept = json.loads(STORY.read_text())

    shown = notebook.run(kept)

    for cell, found, expected in zip(
        [cell for cell in kept["cells"] if cell["cell_type"] == "code"],
        notebook.texts(shown),
        notebook.texts(kept),
        strict=True,
    ):
        assert list(map(_plain, found)) == list(map(_plain, expected)), "".join(cell["source"])


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_the_story_was_run_from_the_beginning_to_the_end() -> None:
    """Cells are numbered in their order; no output is an error, or has a path of a machine."""
    cells = [cell for cell in json.loads(STORY.read_text())["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    kinds = {output["output_type"] for output in outputs}
    assert kinds == {"stream", "display_data", "execute_result"}
    assert not re.search(r"/tmp|/home|/root|/work", json.dumps(outputs))
    assert STORY.stat().st_size < 300_000
