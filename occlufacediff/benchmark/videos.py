"""Find the videos of a folder. Standard library only, because Snakemake rules import it."""

from __future__ import annotations

import os
from pathlib import Path

from occlufacediff.errors import ConfigError
from occlufacediff.media.suffixes import VIDEO_SUFFIXES


def find_videos(folder: Path) -> dict[str, Path]:
    """Videos below a folder, keyed by their path in the folder without suffix, in sorted order.

    Raises:
        ConfigError: the folder does not exist or contains no video, or two videos differ in their suffix only.
    """
    if not folder.is_dir():
        raise ConfigError(f"benchmark videos: there is no folder {folder}; give a folder that contains videos")
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file():
            # A name that is not UTF-8 could be neither written to tables nor shown.
            name = os.fsencode(path.relative_to(folder).with_suffix("")).decode("utf-8", "backslashreplace")
            if name in found:
                raise ConfigError(
                    f"benchmark videos: {found[name]} and {path} differ in their suffix only; rename one of them"
                )
            found[name] = path
    if not found:
        raise ConfigError(f"benchmark videos: {folder} contains no video ({', '.join(VIDEO_SUFFIXES)})")
    return found
