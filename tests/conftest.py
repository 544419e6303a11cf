"""Fixtures shared by all tests: parity numbers, a finished tiny run, and the optional folder with real recordings."""

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
    """Folder of parity numbers (see its README)."""
    return ROOT / "tests" / "goldens"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The workshop folder with real recordings; tests that need it do not run on a plain clone."""
    folder = Path(os.environ.get("OCCLUFACE_SHARED", ROOT.parent / "shared"))
    if not (folder / "real").is_dir():
        pytest.skip(f"real recordings are not at hand ({folder} has no folder 'real'; set OCCLUFACE_SHARED)")
    return folder
