"""The rules for every store, on a local disk and on a store that speaks S3's protocol."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.storage.fake_s3 import BUCKET, serving
from tests.storage.rules import EveryStore


class TestLocalDisk(EveryStore):
    @pytest.fixture
    def base(self, tmp_path: Path) -> str:
        """A folder."""
        return str(tmp_path.resolve())


class TestObjectStore(EveryStore):
    @pytest.fixture
    def base(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
        """A prefix in a bucket."""
        with serving() as store:
            store.lead_here(monkeypatch)
            yield f"s3://{BUCKET}/base"
