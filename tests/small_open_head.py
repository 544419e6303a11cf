"""A small open head, built once for all tests that need MakeHuman's shapes and actions."""

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
    """Its file; nobody writes to it."""
    from occlufacediff.openhead.build import build_open_head  # with VTK, which other tests need not wait for

    path = tmp_path_factory.mktemp("small_open_head") / "open_head.npz"
    build_open_head(path, settings=SETTINGS, seed=SEED)
    return path
