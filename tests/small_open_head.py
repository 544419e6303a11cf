"""A small open head, built once per session for tests that need MakeHuman's shapes and actions."""

from __future__ import annotations

from pathlib import Path

import pytest

from occlufacediff.config.openhead import OpenHeadSettings

SETTINGS = OpenHeadSettings(
    shape_components=12, detail_components=20, identities=24, embedding_renders=16, held_out_renders=4
)
SEED = 3


@pytest.fixture(scope="session")
def small_open_head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File of the head. Tests must not change it."""
    from occlufacediff.openhead.build import build_open_head  # imports VTK, which is slow

    path = tmp_path_factory.mktemp("small_open_head") / "open_head.npz"
    build_open_head(path, settings=SETTINGS, seed=SEED)
    return path
