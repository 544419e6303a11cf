"""Digests of files that Snakemake does not track, because a folder may have one per frame. Standard library only."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from occlufacediff.config.benchmark import BenchmarkSettings
from occlufacediff.config.occlusion import KINDS_WITH_IMAGES, OcclusionSettings
from occlufacediff.config.visibility import VisibilitySettings


def masks_state(settings: VisibilitySettings, name: str) -> str:
    """Digest of the names, sizes and times of a subject's or video's mask files; empty without masks.

    Args:
        settings: other sources than ``masks`` have no mask files.
        name: the subject, or the video without suffix: its name in the folder of masks.
    """
    if settings.source != "masks":
        return ""
    digest = hashlib.sha256()
    for path in sorted(Path(settings.masks or "").glob(f"{glob.escape(name)}*")):
        if path.name == name or path.stem == name:
            for line in sorted(_states(path) if path.is_dir() else [_state(path, path.stat())]):
                digest.update(line.encode())
    return digest.hexdigest()[:16]


def occluders_state(occlusion: OcclusionSettings | BenchmarkSettings, kinds: Collection[str]) -> str:
    """Digest of the images that the ``kinds`` draw from; empty if none of them needs images."""
    folders = [getattr(occlusion, key, None) for kind, key in KINDS_WITH_IMAGES.items() if kind in kinds]
    paths = [Path(folder) for folder in folders if folder is not None]
    digest = hashlib.sha256()
    for path in paths:
        for file in sorted(one for one in path.iterdir() if one.is_file()) if path.is_dir() else [path]:
            digest.update(f"{file.name}\n".encode())
            if file.is_file():
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16] if paths else ""


def _states(folder: str | Path) -> Iterator[str]:
    """Name, size and time of all files below a folder; one `stat` each, since there may be a file per frame."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _states(entry.path)
            else:
                yield _state(entry.path, entry.stat())


def _state(path: str | Path, about: os.stat_result) -> str:
    return f"{path} {about.st_size} {about.st_mtime_ns}\n"
