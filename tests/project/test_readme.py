"""What the README says is so: its tables are those of the code, its commands exist.

Its examples are run by `test_readers`.
"""

import argparse
import re
import shlex
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

import generator.options
from pipeline import signals
from pipeline.command import console, options
from pipeline.input.rejects import REASONS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """The README's code blocks of a language ("" for those without)."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_options_table_is_the_parsers() -> None:
    """Every option is in the one table, with its help; none that there is not."""
    actions = [action for action in options.parser()._actions if action.dest != "help"]
    values = {
        action.option_strings[0]: f" {action.metavar}"
        for action in actions
        if action.metavar and action.nargs != "?"
    }
    expected = [
        f"| `{name}{values.get(name, '')}` | {str(action.help).replace('%%', '%')} |"
        for action in actions
        for name in action.option_strings[:1]
    ]
    rows = re.findall(r"^\| `--.*$", README, re.MULTILINE)
    assert rows[: len(expected)] == expected
    own = set(options.parser()._option_string_actions)
    assert not {row.split("`")[1].split()[0] for row in rows[len(expected) :]} & own


def test_options_of_engines_are_in_the_same_table() -> None:
    """What a refusal tells people to set is in the one table; what is there, Beam knows."""
    text = README[README.index("| `--input PATTERN`") :]
    table = text[: text.index("\n\n")]
    listed = {row.split()[0] for row in re.findall(r"^\| `(--.*)` \|", table, re.MULTILINE)}
    engines = listed - set(options.parser()._option_string_actions)
    sentences = (ROOT / "pipeline" / "command" / "runners.py").read_text()
    told = set(re.findall(r"--[a-z_]+\b", sentences)) - {"--help"}
    known = argparse.ArgumentParser(add_help=False)
    for kind in PipelineOptions.__subclasses__():
        kind._add_argparse_args(known)
    assert told - set(options.parser()._option_string_actions) - engines == set()
    # Flink's and Spark's own options are known to their job servers.
    assert engines - set(known._option_string_actions) == set()


def test_reasons_table_is_that_of_the_code() -> None:
    """Every reason to refuse a record is listed, with its meaning."""
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| (.*) \|$", README, re.MULTILINE)
    assert [row for row in rows if row[0] in REASONS] == list(REASONS.items())


def test_exit_codes_are_those_of_the_code() -> None:
    """The table has every code that a command may end with, in order."""
    text = README[README.index("### Exit codes") :]
    rows = re.findall(r"^\| (\d+) \|", text[: text.index("\n## ")], re.MULTILINE)
    codes = [console.DONE, console.FAILED, console.USAGE, console.REJECTED]
    assert [int(code) for code in rows] == [*codes, *(128 + number for number in signals.NUMBERS)]


def test_modules_named_are_there() -> None:
    """The table "where each step lives" names modules that exist, and leaves out none but glue."""
    named = set(re.findall(r"`(\w+\.py)`", README))
    there = {path.name for path in (ROOT / "pipeline").rglob("*.py")}
    assert named <= there | {"setup.py"}
    assert there - named == {"__init__.py", "__main__.py"}  # the latter only starts job.py


@pytest.mark.parametrize(
    "command",
    sorted({line for block in blocks("") for line in re.findall(r"^\./run\.sh .*$", block, re.M)}),
)
def test_commands_are_known(command: str) -> None:
    """Each ./run.sh command in the README is one that run.sh has, with options that exist."""
    _, name, *arguments = shlex.split(command, comments=True)
    assert re.search(rf"^  {name} ", (ROOT / "run.sh").read_text(), re.MULTILINE), name
    parsers = {"run": options.parser, "generate": generator.options._parser}
    if name in parsers:
        known = parsers[name]()._option_string_actions
        assert {word for word in arguments if word.startswith("--")} <= set(known)
