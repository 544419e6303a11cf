"""Node.js programs of the tests: the official glTF validator, and Chromium by Playwright."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from occlufacediff.errors import AssetError
from occlufacediff.viewer.build import install_packages

HERE = Path(__file__).resolve().parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def node_packages() -> Path:
    """The folder ``node_modules`` of the pinned packages; skips the test where npm is missing or has no network."""
    try:
        return install_packages()
    except AssetError as error:
        pytest.skip(str(error))


def browser() -> str:
    """The installed Chromium; skips the test where there is none."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    return found


def run_node(script: str, *arguments: str) -> Any:
    """Run a script of the tests' folder with Node.js; returns the JSON that it prints.

    Args:
        script: path relative to ``tests``.
        arguments: of the script.
    """
    packages = node_packages()
    environment = {**os.environ, "OFD_PACKAGES": str(packages)}
    result = subprocess.run(
        ["node", str(HERE / script), *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=240,
    )
    assert result.returncode == 0, (result.stdout + result.stderr)[-4000:]
    return json.loads(result.stdout)
