"""Writes the part of a clip's landmarks, for detected and for EMOTE's landmarks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from occlufacediff.errors import ClipError
from occlufacediff.files import new_hdf5
from occlufacediff.landmarks.track import Track
from occlufacediff.media.rates import FPS
from occlufacediff.workflow.shards import Row

FIGURES = ("frames", "frames_found", "n_faces_max", "frames_several_faces")


def write_track(part: Path, track: Track, source: Path, min_found: float) -> Row:
    """Write a clip's track to its part and return the clip's figures (`FIGURES`).

    Args:
        part: gets ``landmarks_px`` (T, 478, 2) and the attributes ``width height fps n_faces_max``.
        track: the tracked face.
        source: the video, for messages.
        min_found: smallest accepted part of frames with a face, 0 to 1 (``landmarks.min_found``).

    Raises:
        ClipError: ``no_face``, ``few_faces``; nothing is written.
    """
    frames, found = len(track.landmarks), int(track.found.sum())
    if found == 0:
        raise ClipError("no_face", f"{source}: no face was found in any of its {frames} frames")
    if found < min_found * frames:
        raise ClipError(
            "few_faces",
            f"{source}: a face was found in {found} of {frames} frames only (landmarks.min_found is {min_found:g})",
        )
    with new_hdf5(part) as file:
        file["landmarks_px"] = track.landmarks
        file.attrs["width"] = track.width
        file.attrs["height"] = track.height
        file.attrs["fps"] = float(FPS)
        file.attrs["n_faces_max"] = int(track.n_faces.max())
    return {
        "frames": frames,
        "frames_found": found,
        "n_faces_max": int(track.n_faces.max()),
        "frames_several_faces": int(np.count_nonzero(track.n_faces > 1)),
    }
