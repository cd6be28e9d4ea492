"""Filling the page's template, and writing the page."""

import base64
import datetime
import functools
import hashlib
import importlib.machinery
import os
import types
from typing import Any

import jinja2
from markupsafe import Markup

from pipeline import amounts, storage
from pipeline.page import flow, strips, words
from pipeline.page.figures import Figures, figures
from pipeline.page.gather import gather
from pipeline.page.heat import LEVELS
from pipeline.storage.paths import STATE
from pipeline.table.address import Table
from pipeline.table.datafiles import TableError

PAGE = f"{STATE}/page.html"


def write(table: Table, path: str = "") -> str:
    """Writes the page of a table, in one step.

    Args:
        table: The table.
        path: Where to; "" for its place beside the summaries.

    Returns:
        Where the page is.

    Raises:
        datafiles.TableError: There is no table, or it cannot be read.
        OSError: Something cannot be listed or written.
    """
    found = gather(table)
    if found.snapshot.version < 0 and not found.runs:
        raise TableError(f"{found.root}: there is no table, and no run has left a summary")
    path = path or storage.join(found.root, PAGE)
    now = datetime.datetime.now(datetime.timezone.utc)
    storage.write_bytes(path, render(figures(found, now)).encode())
    return path


def render(found: Figures) -> str:
    """Returns the page that shows some figures."""
    style = _style()
    return _template().render(
        figures=found,
        style=Markup(style),
        digest=_digest(style),
    )


@functools.lru_cache(maxsize=1)
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "count": "{:,}".format,
        "size": amounts.size,
        "duration": amounts.duration,
        "level": lambda from_the_end: LEVELS + 1 - from_the_end,
        "counted": amounts.counted,
    }
    environment.globals |= {
        "axis": strips.axis,
        "bar": strips.bar,
        "bars": strips.bars,
        "equation": flow.equation,
        "flow": flow.picture,
        "share": words.share,
        "strip": strips.strip,
        "table_equation": flow.table_equation,
    }
    loader = _Compiled(environment, _beside("page.html.jinja"))
    code = loader.get_code(loader.name)
    assert code is not None, "a file of source has code"
    return jinja2.Template.from_code(environment, code, environment.make_globals(None))


class _Compiled(importlib.machinery.SourceFileLoader):
    """Compiles a template, and keeps what comes of it as Python keeps its compiled modules.

    Compiling takes as long as all the rest of a small page.
    """

    def __init__(self, environment: jinja2.Environment, path: str) -> None:
        super().__init__("page", path)
        self._environment = environment

    def source_to_code(self, data: Any, path: Any, *_: Any) -> types.CodeType:  # type: ignore[override]
        """Compiles the template."""
        return self._environment.compile(bytes(data).decode(), filename=os.fspath(path))

    def path_stats(self, path: Any) -> dict[str, Any]:
        """Returns by what Python knows that it must compile again: the newest of what it needs."""
        newest = max(os.stat(one).st_mtime for one in (path, __file__, jinja2.__file__))
        return {"mtime": newest, "size": os.stat(path).st_size}


@functools.lru_cache(maxsize=1)
def _style() -> str:
    with open(_beside("page.css"), encoding="utf-8") as file:
        return file.read()


def _beside(name: str) -> str:
    """Returns the path of a file that lies beside this module."""
    return os.path.join(os.path.dirname(__file__), name)


def _digest(style: str) -> str:
    """Returns the digest by which the page's security policy knows its style."""
    return base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
