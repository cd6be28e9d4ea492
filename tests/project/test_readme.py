"""What README and docs say is so: their tables are those of the code, their commands exist.

The examples for readers are run by `test_readme_examples`.
"""

import argparse
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

import generator.options
from generator.__main__ import main as generate
from generator.presets import PRESETS
from pipeline import signals
from pipeline.command import console, options
from pipeline.input.rejects import REASONS
from pipeline.verify import check
from tests.commands import run_here
from tests.tables import delta_rows

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DOCS = {path.name: path.read_text() for path in (ROOT / "docs").glob("*.md")}
FRONT = {name: (ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md", "LEIAME.md")}
PAGES = {**FRONT, **DOCS}


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of a page in a language ("" for those without)."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block for name, block in found if name == language]


def test_the_first_example_is_so(tmp_path: Path) -> None:
    """The three lines of the README make its two rows, in its two folders."""
    (lines,) = blocks(README, "json")
    (tmp_path / "in.jsonl").write_text(lines)
    run_here(tmp_path / "in.jsonl", tmp_path / "table")
    rows = re.findall(r"^\| (e\d) \| (\S+ \S+) UTC \| `(.*)` \| `(.*)` \|$", README, re.MULTILINE)
    assert sorted(rows) == [
        (
            row.event_id,
            str(np.datetime64(row.micros, "us").astype("M8[s]")).replace("T", " "),
            row.data,
            f"{row.domain} / {row.event_type} / {np.datetime64(row.micros, 'us').astype('M8[D]')}",
        )
        for row in sorted(delta_rows(tmp_path / "table"))
    ]


@pytest.mark.slow  # 200,000 events
def test_the_demonstration_prints_what_the_page_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the events to the input; the README shows some of the lines."""
    script = (ROOT / "run.sh").read_text()
    (options,) = re.findall(r"module generator (.*) --output demo/input$", script, re.MULTILINE)
    generate([*options.split(), "--output", str(tmp_path / "input")])
    run_here(tmp_path / "input", tmp_path / "table")

    def counts(text: str) -> list[str]:
        (found,) = re.findall(
            r"^  events .* read\n.*?^  input .* bytes$", text, re.MULTILINE | re.DOTALL
        )
        return [line.rstrip() for line in found.splitlines()]

    printed = counts(capsys.readouterr().out)
    assert printed == counts(DOCS["operations.md"])
    (excerpt,) = [block for block in blocks(README, "") if " kept" in block]
    shown = excerpt.partition("\n\n")[0].splitlines()
    assert shown == [line for line in printed if line in shown]


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
    rows = re.findall(r"^\| `--.*$", DOCS["options.md"], re.MULTILINE)
    assert rows[: len(expected)] == expected
    own = set(options.parser()._option_string_actions)
    assert not {row.split("`")[1].split()[0] for row in rows[len(expected) :]} & own


def test_options_of_engines_are_in_the_same_table() -> None:
    """What a refusal tells people to set is in the one table; what is there, Beam knows."""
    text = DOCS["options.md"]
    text = text[text.index("| `--input PATTERN`") :]
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
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| (.*) \|$", DOCS["formats.md"], re.MULTILINE)
    assert [row for row in rows if row[0] in REASONS] == list(REASONS.items())


def test_rates_of_the_hostile_preset_are_those_of_the_code() -> None:
    """What people rely on in their own tests."""
    (text,) = re.findall(r"the preset `hostile`.*?\n\n", DOCS["options.md"], re.DOTALL)
    rates = PRESETS["hostile"].defaults.values()
    stated = [float(number) / 100 for number in re.findall(r"([\d.]+) %", text)]
    assert sorted(stated) == sorted([*rates, PRESETS["hostile"].defaults["broken"] / 12])


def test_exit_codes_are_those_of_the_code() -> None:
    """The table has every code that a command may end with, in order."""
    text = DOCS["options.md"]
    rows = re.findall(r"^\| (\d+) \|", text[text.index("## Exit codes") :], re.MULTILINE)
    codes = [console.DONE, console.FAILED, console.USAGE, console.REJECTED]
    assert [int(code) for code in rows] == [*codes, *(128 + number for number in signals.NUMBERS)]


def test_every_module_is_in_the_list_of_its_package() -> None:
    """A package's docstring lists its modules, so a newcomer sees what is in the room."""
    for init in (ROOT / "pipeline").glob("*/__init__.py"):
        modules = {path.stem for path in init.parent.glob("*.py")} - {"__init__", "__main__"}
        listed = set(re.findall(r"`(\w+)`", init.read_text().split('"""')[1]))
        assert modules <= listed, init.parent.name


def test_files_that_the_architecture_names_are_there() -> None:
    """The page says where things are."""
    for page in ("architecture.md", "operations.md", "troubleshooting.md"):
        for name in re.findall(r"`([\w/]+\.py)`", DOCS[page]):
            assert (ROOT / name).exists() or (ROOT / "pipeline" / name).exists(), (page, name)


def test_links_lead_somewhere() -> None:
    """Pages were moved; a link must not be left behind."""
    for folder, pages in (("", FRONT), ("docs", DOCS)):
        for page in pages:
            text = (ROOT / folder / page).read_text()
            for target in re.findall(r"\]\(([^)#:]+)\)", text):
                assert (ROOT / folder / target).exists(), (page, target)


def test_the_readme_is_short() -> None:
    """It is read by people who decide in two minutes whether to read on."""
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize(
    "command",
    sorted(
        {
            line
            for page in PAGES.values()
            for block in [*blocks(page, ""), *blocks(page, "sh")]
            for line in re.findall(r"^\./run\.sh .*$", block, re.M)
        }
    ),
)
def test_commands_are_known(command: str) -> None:
    """Each ./run.sh command in the README is one that run.sh has, with options that exist."""
    name, *arguments = shlex.split(command, comments=True)[1:] or ["(nothing)"]
    assert re.search(rf"^  {re.escape(name)} ", (ROOT / "run.sh").read_text(), re.MULTILINE), name
    parsers = {
        "run": options.parser,
        "generate": generator.options._parser,
        "verify": check._parser,
    }
    if name in parsers:
        known = parsers[name]()._option_string_actions
        assert {word for word in arguments if word.startswith("--")} <= set(known)
