"""A real recording as the benchmark needs it, stored in a file so that each video is decoded once."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.benchmark import BenchmarkSettings
from occlufacediff.config.crop import CropSettings
from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.errors import ClipError
from occlufacediff.files import new_hdf5
from occlufacediff.head.fit import fit_clip
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.media.audio import level_db
from occlufacediff.media.probe import probe
from occlufacediff.prediction.audio import read_audio
from occlufacediff.prediction.observation import observe
from occlufacediff.prediction.progress import no_progress

Float = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Recording:
    """T frames at 25 fps of one face, with audio and truth. The truth is the fit to all detected landmarks.

    Attributes:
        lmk_2d: (T, 468, 2) detected landmarks, crop coordinates, y down.
        known: (T, 468) True where the detector found the landmark in that frame.
        boxes: (T, 3) crop boxes ``(x0, y0, size)``, source pixels.
        log_mel: (4 T, 80) log-mel spectrogram.
        waveform: (640 T,) at 16 kHz.
        motion: (T, E + 3) true expression and jaw.
        shape: (S,) true identity.
        global_pose: (T, 3) true pose.
        cam: (T, 3) true camera.
        points: (T, 468, 2) landmarks of the fitted head, crop coordinates; errors are measured against them.
        level: level of the loudest 20 ms, dB relative to full scale.
        fit_px: mean distance of the fit to the landmarks, px of the crop.
    """

    lmk_2d: Float
    known: NDArray[np.bool_]
    boxes: Float
    log_mel: Float
    waveform: Float
    motion: Float
    shape: Float
    global_pose: Float
    cam: Float
    points: Float
    level: float
    fit_px: float


def make_recording(
    video: Path,
    basis: LandmarkBasis,
    *,
    settings: BenchmarkSettings,
    landmarks: LandmarkSettings,
    crop: CropSettings,
    reconstruction: ReconstructionSettings,
) -> Recording:
    """Decode a video, detect its landmarks, read its audio, and fit the head model to all landmarks.

    Raises:
        ClipError: ``no_video``, ``broken_video``, ``too_short``, ``no_face``; ``no_audio`` (no track), ``silent``;
            ``bad_fit``: the fit misses the landmarks, so there is no truth.
    """
    info = probe(video)
    info.require_audio()
    seen = observe(
        info,
        landmarks=landmarks,
        crop=crop,
        min_seconds=settings.min_seconds,
        progress=no_progress,
    )
    audio = read_audio(info, seen.frames, silence_db=settings.silence_db)
    level = level_db(audio.waveform)
    if not audio.audible:
        raise ClipError(
            "silent",
            f"{video}: the loudest 20 ms reach {level:.0f} dB, below benchmark.silence_db ({settings.silence_db:g})",
        )
    fit = fit_clip(basis, seen.lmk_2d, settings=reconstruction, boxes=seen.boxes, visible=seen.known)
    if fit.error_px > reconstruction.bad_fit_px:
        raise ClipError(
            "bad_fit",
            f"{video}: the mean distance of the fit to the landmarks is {fit.error_px:.2f} px, more than "
            f"reconstruction.bad_fit_px = {reconstruction.bad_fit_px}",
        )
    return Recording(
        lmk_2d=seen.lmk_2d,
        known=seen.known,
        boxes=seen.boxes,
        log_mel=audio.log_mel,
        waveform=audio.waveform,
        motion=np.concatenate([fit.exp, fit.jaw], axis=1),
        shape=fit.shape,
        global_pose=fit.global_pose,
        cam=fit.cam,
        points=to_mesh_points(basis, fit.landmarks),
        level=level,
        fit_px=fit.error_px,
    )


def to_mesh_points(basis: LandmarkBasis, landmarks: Float) -> Float:
    """Landmarks (T, L, 2) of the basis as (T, 468, 2) points of the face mesh, NaN where the basis has none."""
    full = np.full((len(landmarks), 468, 2), np.nan, dtype=np.float32)
    full[:, basis.indices] = landmarks
    return full


def write_recording(recording: Recording, path: Path) -> None:
    """Write a recording to an HDF5 file."""
    with new_hdf5(path) as file:
        for name in (one.name for one in fields(Recording)):
            value = getattr(recording, name)
            if isinstance(value, np.ndarray):
                file[name] = value
            else:
                file.attrs[name] = value


def read_recording(path: Path) -> Recording:
    """Read a file of `write_recording`."""
    with h5py.File(path, "r") as file:
        values: dict[str, Any] = {name: file[name][()] for name in file}
        values |= {name: float(value) for name, value in file.attrs.items()}
        return Recording(**values)


def source_of(name: str) -> str:
    """The collection that a clip comes from: its top folder, else the first word of its file name.

    ``grid/bbaf2n`` and ``grid_bbaf2n`` belong to ``grid``, ``demo1`` to ``demo``.
    """
    folder, _, stem = name.rpartition("/")
    if folder:
        return folder.partition("/")[0]
    first = re.split(r"[_\-. ]", stem, maxsplit=1)
    return first[0] if len(first) > 1 else (stem.rstrip("0123456789") or stem)


def is_held_out(name: str, share: float) -> bool:
    """Whether a clip is held out: not used for any choice. Depends on its name only."""
    return zlib.crc32(f"kept apart {name}".encode()) / 2**32 < share
