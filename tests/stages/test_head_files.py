"""Which head file a command uses for a checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_head import small_head

from occlufacediff.config.schema import Config
from occlufacediff.stages import open_head


def test_the_head_of_a_digest_is_found_beside_unfinished_and_damaged_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    open_head.HEADS.mkdir(parents=True)
    head = small_head()
    head.save(open_head.HEADS / "open-cccccccc.npz")
    (open_head.HEADS / "open-aaaaaaaa.npz").write_bytes(b"damaged")
    (open_head.HEADS / ".open-bbbbbbbb.npz").write_bytes(b"being written")
    assert open_head.head_with_digest(head.digest) == open_head.HEADS / "open-cccccccc.npz"
    assert open_head.head_with_digest("0" * 64) is None


def test_the_global_seed_does_not_change_the_head() -> None:
    assert open_head.workflow_head(Config(seed=2)) == open_head.workflow_head(Config())
