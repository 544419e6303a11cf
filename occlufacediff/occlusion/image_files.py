"""Lists image files in natural order."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from occlufacediff.errors import ConfigError


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Sort key that puts ``mask2.png`` before ``mask10.png``."""
    pieces = re.findall(r"\d+|\D+", path.name.lower())
    return [(0, int(piece), "") if piece.isdecimal() else (1, 0, piece) for piece in pieces]


def image_files(path: Path, suffixes: Collection[str], *, label: str, remedy: str) -> list[Path]:
    """The images of a folder in natural order, or ``path`` itself if it is a file.

    Args:
        suffixes: suffixes of images, lower case.
        label: what error messages start with.
        remedy: what error messages end with.

    Raises:
        ConfigError: no such file or folder, or a folder without images.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ConfigError(f"{label}: no file or folder {path}; {remedy}")
    files = sorted((file for file in path.iterdir() if file.suffix.lower() in suffixes), key=natural_key)
    if not files:
        raise ConfigError(f"{label}: the folder {path} has no image ({', '.join(sorted(suffixes))}); {remedy}")
    return files
