"""One preprocessed subject, shared by the tests of the stages."""

from __future__ import annotations

from pathlib import Path

import pytest
from media_samples import write_archives
from preprocessed import Shard, preprocess


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Video and audio archive of a subject with good clips and one of each fault."""
    return write_archives(tmp_path_factory.mktemp("archives"))


@pytest.fixture(scope="session")
def shard(tmp_path_factory: pytest.TempPathFactory, archives: tuple[Path, Path]) -> Shard:
    """That subject, preprocessed by one worker. Not to be changed."""
    return preprocess(tmp_path_factory.mktemp("one"), archives, 1)
