"""The videos of a folder. Standard library only: the rules ask while they are read."""

from __future__ import annotations

from pathlib import Path

from occlufacediff.errors import ConfigError
from occlufacediff.media.suffixes import VIDEO_SUFFIXES


def find_videos(folder: Path) -> dict[str, Path]:
    """Videos below a folder, by their path in it without suffix, in order.

    Raises:
        ConfigError: no such folder, no video in it, or two videos that differ in their suffix only.
    """
    if not folder.is_dir():
        raise ConfigError(f"clips: {folder} is no folder; give one with videos in it")
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file():
            name = path.relative_to(folder).with_suffix("").as_posix()
            if name in found:
                raise ConfigError(f"clips: {found[name]} and {path} differ in their suffix only; rename one")
            found[name] = path
    if not found:
        raise ConfigError(f"clips: {folder} holds no video ({', '.join(VIDEO_SUFFIXES)})")
    return found
