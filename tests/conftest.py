"""Fixtures of all tests: golden values, a finished run of the tiny configuration, optional real recordings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from small_open_head import small_open_head as small_open_head
from tiny_tree import bare as bare
from tiny_tree import finished as finished
from tiny_tree import tree as tree

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def goldens() -> Path:
    """Folder of golden values, see its README."""
    return ROOT / "tests" / "goldens"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with real recordings. Tests that need it are skipped if it does not exist."""
    folder = Path(os.environ.get("OCCLUFACE_SHARED", ROOT.parent / "shared"))
    if not (folder / "real").is_dir():
        pytest.skip(f"no real recordings: {folder} has no folder 'real'; set OCCLUFACE_SHARED")
    return folder
