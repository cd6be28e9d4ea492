"""How each engine writes what a view needs: names, paths into JSON, types."""

import re
from collections.abc import Callable
from typing import NamedTuple

from pipeline.describe.columns import Kind

# What a path of these engines can name between quotes.
_QUOTABLE = re.compile(r"[^\x00-\x1f\"'\\\[\]?*`]+")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What is escaped between double quotes; Spark puts a variable in place of ${NAME}.
_SPECIAL = re.compile(r"[\\\"$\x00-\x1f\x7f]")


class Dialect(NamedTuple):
    """How an engine writes it.

    Attributes:
        name: What the option calls it.
        quote: The character around names.
        path: A path to a member, without quotes around it; None if it cannot be written.
        text: The text of a value in `data`, given the path; NULL for `null`.
        json: A value as JSON.
        cast: A text as a type, NULL if it is none.
        integer_text: As `text`, of integers only, where `cast` would round other numbers.
        types: The type of each kind.
        dotted: Whether a view may be called "account.opened"; else it is account_opened.
    """

    name: str
    quote: str
    path: Callable[[tuple[str, ...]], str | None]
    text: str
    json: str
    cast: str
    types: dict[Kind, str]
    integer_text: str = ""
    dotted: bool = False

    def quoted(self, *names: str) -> str:
        """Returns names joined by dots, each between quotes."""
        double = 2 * self.quote
        return ".".join(
            f"{self.quote}{name.replace(self.quote, double)}{self.quote}" for name in names
        )

    def value(self, steps: tuple[str, ...], kind: Kind) -> str | None:
        """Returns the expression for a value in `data`; None if it cannot be written."""
        path = self.path(steps)
        if path is None:
            return None
        at = self.literal(path)
        if kind == "json":
            return self.json.format(path=at)
        template = self.integer_text if kind == "integer" and self.integer_text else self.text
        text = template.format(path=at)
        if kind == "string":
            return text
        return self.cast.format(text=text, type=self.types[kind])

    def literal(self, text: str) -> str:
        """Returns a text as SQL has it."""
        if self.name in ("spark", "bigquery"):
            return '"' + _SPECIAL.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + '"'
        return "'" + text.replace("'", "''") + "'"


def _pointer(steps: tuple[str, ...]) -> str | None:
    """A JSON Pointer (RFC 6901), which can name every member."""
    return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in steps)


def _paths(before: str, after: str) -> Callable[[tuple[str, ...]], str | None]:
    """A path as `$.a` where a name is a word, and else with the name between two texts."""

    def path(steps: tuple[str, ...]) -> str | None:
        if not all(_QUOTABLE.fullmatch(name) for name in steps):
            return None
        return "$" + "".join(
            f".{name}" if _WORD.fullmatch(name) else f"{before}{name}{after}" for name in steps
        )

    return path


_ANSI: dict[Kind, str] = {"integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN"}
_TRINO = Dialect(
    "trino",
    '"',
    _paths('["', '"]'),
    "json_extract_scalar(data, {path})",
    "json_format(json_extract(data, {path}))",
    "TRY_CAST({text} AS {type})",
    _ANSI,
)

DIALECTS = {
    dialect.name: dialect
    for dialect in (
        Dialect(
            "duckdb",
            '"',
            _pointer,
            "json_extract_string(data, {path})",
            "json_extract(data, {path})",
            "TRY_CAST({text} AS {type})",
            _ANSI,
            integer_text="CASE WHEN json_type(data, {path}) IN ('BIGINT', 'UBIGINT')"
            " THEN json_extract_string(data, {path}) END",
            dotted=True,
        ),
        Dialect(
            "spark",
            "`",
            _paths("['", "']"),
            "get_json_object(data, {path})",
            "get_json_object(data, {path})",
            "TRY_CAST({text} AS {type})",
            _ANSI,
        ),
        _TRINO,
        _TRINO._replace(name="athena"),
        Dialect(
            "bigquery",
            "`",
            _paths('."', '"'),
            "JSON_VALUE(data, {path})",
            "JSON_QUERY(data, {path})",
            "SAFE_CAST({text} AS {type})",
            {"integer": "INT64", "number": "FLOAT64", "boolean": "BOOL"},
        ),
    )
}
