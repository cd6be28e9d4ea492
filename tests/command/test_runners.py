"""Runners: which one is meant, who uses the cores, and what it prints."""

import logging

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.command import runners


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ([], "FnApiRunner"),
        (["--runner=DirectRunner"], "FnApiRunner"),
        (["--runner=PrismRunner"], "PrismRunner"),
    ],
)
def test_name(arguments: list[str], name: str) -> None:
    """The local runner is the default, and what DirectRunner means."""
    assert runners.name(PipelineOptions(arguments)) == name


PROCESSES = "--experiments=use_loopback_process_worker=True"


@pytest.mark.parametrize(
    ("arguments", "leaves"),
    [
        ([], True),
        (["--direct_running_mode=multi_processing"], False),
        (["--runner=PrismRunner"], True),
        (["--runner=PrismRunner", "--environment_type=EXTERNAL"], False),
        (["--runner=PortableRunner", "--environment_type=LOOPBACK"], True),
        (["--runner=PortableRunner"], False),
        (["--runner=PortableRunner", "--environment_type=EXTERNAL"], False),
        (["--runner=PortableRunner", "--environment_type=LOOPBACK", PROCESSES], False),
        (["--runner=DataflowRunner"], False),
    ],
)
def test_leaves_cores(arguments: list[str], leaves: bool) -> None:
    """Only where one process does all the work do the steps take the other cores themselves.

    Engines with workers of their own would have more calls under way than cores. Seen to take three
    times as long on Prism, whose worker is a thread of the job's process, without it.
    """
    assert runners.leaves_cores(PipelineOptions(arguments)) == leaves


def test_quiet_is_over_when_it_is_over() -> None:
    """Within it handlers of the log are silent; afterwards each is as it was.

    Seen to fail without the levels being put back: what was logged later was lost.
    """
    handler = logging.StreamHandler()
    handler.setLevel(logging.INFO)
    logging.getLogger().addHandler(handler)
    try:
        with runners.quiet(verbose=False):
            assert handler.level == logging.CRITICAL
        assert handler.level == logging.INFO
    finally:
        logging.getLogger().removeHandler(handler)
