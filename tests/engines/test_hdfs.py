"""All of it on HDFS: Beam reaches it over WebHDFS, Delta over Hadoop's own protocol."""

import uuid
from collections.abc import Iterator

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from conftest import Deliveries, engine, moved, refuses_second_commit
from jobs import Published, publish

from pipeline import storage
from pipeline.storage.stores import configure
from tests.apparatus import stores
from tests.apparatus.stores import Hdfs
from tests.storage.rules import EveryStore


@pytest.fixture(scope="module")
def hdfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hdfs]:
    """An HDFS, which this process's file systems know, too."""
    with engine(stores.hdfs, tmp_path_factory) as server:
        configure(PipelineOptions(server.options))
        yield server
        configure(PipelineOptions([]))


class TestRules(EveryStore):
    @pytest.fixture
    def base(self, hdfs: Hdfs) -> str:
        """A folder that no other test has."""
        return f"hdfs://{hdfs.address}/rules/{uuid.uuid4().hex}"


def test_publish_and_merge(hdfs: Hdfs, deliveries: Deliveries, expected: list[Published]) -> None:
    """Two deliveries with all of it on HDFS; then two commits at once, of which one is refused."""
    place = f"hdfs://{hdfs.address}/events"
    for folder in deliveries:
        for path in folder.rglob("*"):
            if path.is_file():
                target = f"{place}/{path.relative_to(folder.parent)}"
                storage.write_bytes(target, path.read_bytes())
    options = [*hdfs.options, f"--temp={place}/temp", "--workers=2"]

    outcomes = [
        publish([f"{place}/{name}"], f"{place}/table", options) for name in ("first", "second")
    ]

    assert outcomes == [moved(outcome, deliveries, place) for outcome in expected]
    assert storage.list_files(f"{place}/temp") == []
    refuses_second_commit(f"{place}/table", {})
