import datetime
import pathlib
import re
import subprocess
import sys

import pytest

from generator.options import Options, parse

NEEDED = ["--events", "10", "--output", "out"]


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Returns what is printed when the arguments are refused, which must happen."""
    with pytest.raises(SystemExit) as stopped:
        parse([*NEEDED, *arguments])
    assert stopped.value.code == 2
    return capsys.readouterr().err


def test_defaults_of_the_command_line_are_those_of_options() -> None:
    """Python callers and the command line get the same delivery when they ask for nothing."""
    assert parse(NEEDED) == Options(events=10, output=pathlib.Path("out"))


def test_every_option_reaches_its_field() -> None:
    """No option is accepted and then ignored."""
    arguments = {
        "files": 3, "seed": 2**64 - 1, "start": datetime.date(2024, 2, 29), "days": 9, "types": 20,
        "duplicates": 0.5, "exact_copies": 0.1, "ties": 0.2, "other_day": 0.3, "other_type": 0.4,
        "late": 0.6, "spaced_timestamps": 0.7, "extra": 0.8, "broken": 0.9, "framing": "array",
        "compression": "xz", "first_file": 4, "known_ids": 100, "spread": 2, "awkward": 0.25,
        "preset": "payments", "answers": pathlib.Path("answers"),
    }  # fmt: skip
    given = [
        text
        for name, value in arguments.items()
        for text in (f"--{name.replace('_', '-')}", str(value))
    ]

    options = parse([*NEEDED, *given, "--bom", "--crlf"])

    expected = Options(10, pathlib.Path("out"), **arguments, bom=True, crlf=True)  # type: ignore[arg-type]
    assert options == expected
    assert len(arguments) + 4 == len(Options._fields)


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--events", "-1"], "--events: '-1' must be a whole number from 0"),
        (["--events", "1.5"], "--events: '1.5' must be a whole number"),
        (["--files", "0"], "--files: '0' must be a whole number from 1"),
        (["--seed", str(2**64)], "--seed: '18446744073709551616' must be"),
        (["--days", "0"], "--days: '0' must be"),
        (["--types", "many"], "--types: 'many' must be"),
        (["--duplicates", "1.01"], "--duplicates: '1.01' must be a share between 0 and 1"),
        (["--broken", "nan"], "--broken: 'nan' must be a share between 0 and 1"),
        (["--extra", "10%"], "--extra: '10%' must be a share between 0 and 1"),
        (["--start", "2021-02-30"], "--start: '2021-02-30' must be a date like 2021-01-01"),
        (["--output", ""], "--output: '' must be the path of a directory"),
        (["--framing", "csv"], "--framing: invalid choice: 'csv'"),
        (["--compression", "zip"], "--compression: invalid choice: 'zip'"),
        (["--exact-copies", "0.9"], "add up to 1 at most, but add up to 1.22"),
        (["--late", "0.7"], "--late 0.7 is more than the 0.68"),
        (["--preset", "nasty"], "--preset: invalid choice: 'nasty'"),
        (["--answers", ""], "--answers: '' must be a file on this machine"),
        (["--answers", "out/a"], "--answers out/a must not lie in --output, where a run would"),
        (["--spread", "8"], "--spread 8 must not be more than --days, which is 7"),
        (["--start", "9998-12-30"], "--start 9998-12-30 with --days 7 must lie between"),
        (["--file", "2"], "unknown option --file; did you mean --files?"),
    ],
)
def test_a_refusal_is_one_line_with_the_value_and_the_rule(
    capsys: pytest.CaptureFixture[str], arguments: list[str], shown: str
) -> None:
    """Whoever mistypes learns what was wrong with which value, without pages of usage."""
    message = refusal(capsys, *arguments)

    assert shown in message
    assert message.startswith("python -m generator: error: ")
    assert message.count("\n") == 1


def test_shares_that_add_up_to_one_in_decimal_are_accepted() -> None:
    """0.7 + 0.2 + 0.1 is a little off 1 in binary; nobody should have to know."""
    shares = ["--exact-copies=0.7", "--ties=0", "--other-day=0.2", "--other-type=0.1", "--late=0.3"]
    assert parse([*NEEDED, *shares]).exact_copies == 0.7


def test_help_names_every_option_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    """The help is complete."""
    with pytest.raises(SystemExit) as stopped:
        parse(["--help"])

    text = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert stopped.value.code == 0
    for name, default in Options._field_defaults.items():
        assert f" --{name.replace('_', '-')} " in text
        if default not in (None, False):
            assert f"(default: {default})" in text


def test_help_loads_neither_numpy_nor_faker_nor_beam() -> None:
    """The command line answers at once."""
    code = (
        "import sys, generator.options, generator.__main__;"
        "print({'numpy', 'faker', 'apache_beam', 'pyarrow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
