"""Runs the story's code, and keeps what it shows in the notebook: `./run.sh story`.

As Jupyter would, but without it: a cell shows what it prints, then its pictures (of matplotlib),
then the value of its last expression, as a table where it has `_repr_html_`.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STORY = Path(__file__).resolve().parents[2] / "docs" / "story.ipynb"

Cell = dict[str, Any]
Output = dict[str, Any]


def run(notebook: dict[str, Any]) -> dict[str, Any]:
    """Returns a notebook with the outputs of all its cells, run in a folder of their own.

    Raises:
        Exception: What a cell has raised.
    """
    import matplotlib

    matplotlib.use("Agg")
    names: dict[str, Any] = {"__name__": "__main__"}
    cells: list[Cell] = []
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            for cell in notebook["cells"]:
                if cell["cell_type"] == "code":
                    number = sum(one["cell_type"] == "code" for one in cells) + 1
                    outputs = list(_outputs("".join(cell["source"]), names, number))
                    cell = {**cell, "execution_count": number, "outputs": outputs}
                cells.append(cell)
        finally:
            os.chdir(before)
    return {**notebook, "cells": cells}


def texts(notebook: dict[str, Any]) -> list[list[str]]:
    """Returns what each cell of code shows, as text; a picture is only said to be there."""
    return [
        [_text(output) for output in cell["outputs"]]
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
    ]


def _text(output: Output) -> str:
    if output["output_type"] == "stream":
        return "".join(output["text"])
    data = output["data"]
    return "a picture" if "image/png" in data else "".join(data["text/plain"])


def _outputs(source: str, names: dict[str, Any], number: int) -> Iterator[Output]:
    """Runs a cell, and yields what it shows."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed, value = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, f"cell {number}", "exec"), names)
        if last is not None and not source.rstrip().endswith(";"):
            value = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), names)
        elif last is not None:
            exec(compile(ast.Module([last], []), f"cell {number}", "exec"), names)
    if printed.getvalue():
        text = printed.getvalue().splitlines(keepends=True)
        yield {"output_type": "stream", "name": "stdout", "text": text}
    yield from _pictures()
    if value is not None:
        data = {"text/plain": repr(value).splitlines(keepends=True)}
        if hasattr(value, "_repr_html_"):
            data = {"text/html": value._repr_html_().splitlines(keepends=True), **data}
        result = {"data": data, "execution_count": number, "metadata": {}}
        yield {"output_type": "execute_result", **result}


def _pictures() -> Iterator[Output]:
    """Yields the figures that are open, and closes them."""
    from matplotlib import pyplot

    for number in pyplot.get_fignums():
        content = io.BytesIO()
        # Without the version of the library in it, the same picture is the same bytes.
        pyplot.figure(number).savefig(
            content, format="png", bbox_inches="tight", dpi=80, metadata={"Software": None}
        )
        pyplot.close(number)
        picture = {"image/png": base64.b64encode(content.getvalue()).decode()}
        yield {"output_type": "display_data", "data": picture, "metadata": {}}


if __name__ == "__main__":
    shown = run(json.loads(STORY.read_text()))
    STORY.write_text(json.dumps(shown, indent=1, ensure_ascii=False) + "\n")
