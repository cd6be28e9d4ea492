"""What deploys the job elsewhere: templates and manifests fit the job as it is."""

import json
import pathlib
import re
from typing import Any

import pytest
import yaml

from pipeline.command import options

ROOT = pathlib.Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"

# Options that make no sense in a template: a scheduler starts it anew, Dataflow has a log, and
# nobody waits for the job to end who could write the page.
NOT_IN_TEMPLATE = {"help", "watch", "quiet", "verbose", "no-page"}


def _template() -> dict[str, dict[str, Any]]:
    metadata = json.loads((DEPLOY / "dataflow" / "metadata.json").read_text())
    return {parameter["name"]: parameter for parameter in metadata["parameters"]}


def _options() -> dict[str, Any]:
    actions = {action.option_strings[-1][2:]: action for action in options.parser()._actions}
    return {name: action for name, action in actions.items() if name not in NOT_IN_TEMPLATE}


def test_template_describes_every_option() -> None:
    """An option that is added, renamed or dropped shows up in the template's description."""
    assert set(_template()) == set(_options())


def test_template_knows_what_is_needed() -> None:
    """Only input and output must be given."""
    needed = [name for name, found in _template().items() if not found.get("isOptional")]

    assert needed == ["input", "output"]


@pytest.mark.parametrize("name", _template())
def test_template_tells_the_default(name: str) -> None:
    """The default that the template's help names is the option's."""
    named = re.search(r"Default: (\S+?)\.?$", _template()[name]["helpText"])
    default = _options()[name].default

    if named and default is not None:
        assert named[1] == str(default).lower().removesuffix(".0")
    else:
        assert default is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("input", "gs://bucket/landing/**/*.jsonl.gz"),
        ("output", "gs://bucket/events"),
        ("temp", "gs://bucket/temp"),
        ("rebuild", "true"),
        ("fields", "event_id=id,data=payload.body"),
        ("provenance", "true"),
        ("dedup-days", "7"),
        ("max-partitions", "20000"),
        ("max-event-mb", "8"),
        ("contract", "gs://bucket/contract"),
        ("contract-mode", "reject"),
        ("max-rejected", "0.5%"),
        ("target-file-mb", "128"),
        ("keep-history", "7d"),
        ("report-json", "gs://bucket/report.json"),
        ("workers", "0"),
    ],
)
def test_template_and_option_take_the_same(name: str, value: str) -> None:
    """What the template lets through is what the option takes, given as the launcher gives it."""
    patterns = _template()[name]["regexes"]
    needed = ["--input=gs://bucket/in", "--output=gs://bucket/out"]

    parsed = options.parser().parse_args([*needed, f"--{name}={value}"])

    assert all(re.fullmatch(pattern, value) for pattern in patterns)
    assert not any(re.fullmatch(pattern, "nonsense") for pattern in patterns)
    assert getattr(parsed, name.replace("-", "_")) not in (None, "")


def test_template_covers_every_parameter_with_an_example() -> None:
    """The test before this one leaves no parameter out."""
    (mark,) = [
        mark
        for mark in test_template_and_option_take_the_same.pytestmark  # type: ignore[attr-defined]
        if mark.name == "parametrize"
    ]

    assert {name for name, _ in mark.args[1]} == set(_template())


@pytest.mark.parametrize("dockerfile", sorted(DEPLOY.glob("*/Dockerfile")), ids=str)
def test_image_is_of_this_project(dockerfile: pathlib.Path) -> None:
    """The image has the Beam that is tested, and copies files that are there."""
    lines = dockerfile.read_text().splitlines()
    pinned = re.search(r"^apache-beam==(.+)$", (ROOT / "requirements.txt").read_text(), re.M)
    copied = [
        name
        for line in lines
        if line.startswith("COPY ") and "--from" not in line
        for name in line.split()[1:-1]
    ]

    assert pinned
    assert f"ARG BEAM={pinned[1]}" in lines
    assert copied
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_flink_cluster() -> None:
    """The cluster has Flink, its Python workers beside it, and a job server that finds it."""
    compose = yaml.safe_load((DEPLOY / "flink" / "compose.yaml").read_text())
    services = compose["services"]

    assert set(services) == {"jobmanager", "taskmanager", "workers", "jobserver"}
    for service in services.values():
        assert set(service) <= {
            "image", "build", "command", "depends_on", "environment", "network_mode", "ports",
            "volumes",
        }  # fmt: skip
        assert set(service.get("depends_on", [])) <= set(services)
        # Nothing listens for others than this machine.
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    build = services["workers"]["build"]
    folder = DEPLOY / "flink" / build["context"]
    assert folder.resolve() == ROOT
    assert (folder / build["dockerfile"]).is_file()
    # A worker writes where the others, and the job's own process, read.
    assert services["workers"]["volumes"] == services["taskmanager"]["volumes"]
    assert "--worker_pool" in services["workers"]["command"]
    assert services["taskmanager"]["network_mode"] == "service:workers"
    settings = yaml.safe_load(services["taskmanager"]["environment"]["FLINK_PROPERTIES"])
    assert settings["jobmanager.rpc.address"] == "jobmanager"
    assert settings["restart-strategy.type"] == "fixed-delay"
    # What the tests' own cluster, of as many slots, was seen not to do without.
    tested = yaml.safe_load((ROOT / "tests/apparatus/flink/conf/flink-conf.yaml").read_text())
    for name in ("taskmanager.numberOfTaskSlots", "taskmanager.memory.network.min"):
        assert settings[name] == tested[name]


def test_scheduled_launch() -> None:
    """The page's message to the scheduler is JSON, and asks for options that the template has."""
    page = (ROOT / "docs" / "dataflow.md").read_text()
    (message,) = re.findall(r"^cat > launch.json <<END\n(.*?)^END$", page, re.M | re.S)

    launch = json.loads(message)["launchParameter"]

    # The image is an option of Dataflow, which every template has.
    given = set(launch["parameters"]) - {"sdk_container_image"}
    assert given == {name for name, found in _template().items() if not found.get("isOptional")}
    for name in given:
        (pattern,) = _template()[name].get("regexes", [".*"])
        assert re.search(pattern, launch["parameters"][name])
