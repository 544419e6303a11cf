"""The source video of a prediction, by which results of another video of equal name are recognised."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from occlufacediff.errors import ConfigError
from occlufacediff.files import sha256
from occlufacediff.storage import faults_named

#: Entries of ``motion.npz`` that identify the source video.
SOURCE_NAME, SOURCE_DIGEST = "source_name", "source_digest"


@dataclass(frozen=True)
class Source:
    """The source video of a result: its file name, and its SHA-256 in hex digits."""

    name: str
    digest: str

    @classmethod
    def of(cls, video: Path) -> Source:
        """Identify a video file; an empty digest if it does not exist, which the decoder reports later.

        Raises:
            StorageError: the file cannot be read.
        """
        with faults_named(video):
            return cls(video.name, sha256(video) if video.is_file() else "")

    @classmethod
    def read(cls, motion: Path) -> Source | None:
        """The source that an existing ``motion.npz`` names; None if it names none."""
        try:
            with np.load(motion, allow_pickle=False) as entries:
                return cls(str(entries[SOURCE_NAME]), str(entries[SOURCE_DIGEST]))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def __str__(self) -> str:
        return f"{self.name} (SHA-256 {self.digest[:12]})"


def check_replaceable(motion: Path, video: Path) -> None:
    """Refuse to replace the results of another video, but not those of an older version of this video.

    A video that was changed after ``motion`` was written is a newer version.

    Raises:
        ConfigError: ``motion`` was predicted from another file than ``video``.
        StorageError: the video cannot be read.
    """
    existing = Source.read(motion)
    if existing is None or video.stat().st_mtime > motion.stat().st_mtime:
        return
    source = Source.of(video)
    if existing != source:
        raise ConfigError(
            f"Configuration, video: {motion.parent} holds the results of another video, {existing}; those of {video}, "
            f"{source}, have the same folder name. Rename the video, or move or delete that folder."
        )
