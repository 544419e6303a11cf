"""The JSON of blend shape weights that Audio2Face exports and imports."""

from __future__ import annotations

import json
from pathlib import Path

from occlufacediff.export.arkit import ARKIT_NAMES, ArkitMotion
from occlufacediff.files import written_aside


def write_audio2face(path: Path, motion: ArkitMotion) -> None:
    """Write a motion: ``facsNames`` (52) and ``weightMat`` (T, 52) at ``exportFps``.

    Raises:
        StorageError: see `files.written_aside`.
    """
    document = {
        "exportFps": motion.fps,
        "numPoses": len(ARKIT_NAMES),
        "numFrames": len(motion),
        "facsNames": list(ARKIT_NAMES),
        "weightMat": [[round(float(value), 6) for value in frame] for frame in motion.weights],
    }
    with written_aside(path) as aside:
        aside.write_text(json.dumps(document), encoding="utf-8")
