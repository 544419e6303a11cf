"""A real recording as the benchmark needs it, kept in a file so that it is watched once."""

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
from occlufacediff.media.probe import probe
from occlufacediff.media.sound import level_db
from occlufacediff.prediction.observe import listen, observe

Float = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Recording:
    """T frames at 25 fps of one face, its sound, and the truth: the fit to all of its landmarks.

    Attributes:
        lmk_2d: (T, 468, 2) detected landmarks, crop coordinates, y down.
        known: (T, 468) True where the detector gave the point in this very frame.
        boxes: (T, 3) crop boxes ``(x0, y0, size)``, source pixels.
        log_mel: (4 T, 80). waveform: (640 T,) at 16 kHz.
        motion: (T, E + 3) true expression and jaw.
        shape: (S,) true identity. global_pose, cam: (T, 3) true pose and camera.
        points: (T, 468, 2) the fitted head's landmarks, crop coordinates: the truth that is compared with.
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


def record(
    video: Path,
    basis: LandmarkBasis,
    *,
    settings: BenchmarkSettings,
    landmarks: LandmarkSettings,
    crop: CropSettings,
    reconstruction: ReconstructionSettings,
) -> Recording:
    """Watch and hear a video, and fit the head model to all that is seen.

    Raises:
        ClipError: ``no_video``, ``broken_video``, ``too_short``, ``no_face``; ``no_audio`` (no track), ``silent``;
            ``bad_fit``: the head model does not follow the face, so there is no truth.
    """
    info = probe(video)
    info.require_audio()
    seen = observe(
        info,
        landmarks=landmarks,
        crop=crop,
        min_seconds=settings.min_seconds,
        progress=lambda step, done, total: None,
    )
    sound = listen(info, seen.frames, silence_db=settings.silence_db)
    level = level_db(sound.waveform)
    if not sound.heard:
        raise ClipError(
            "silent",
            f"{video}: the loudest 20 ms reach {level:.0f} dB, below recordings.silence_db ({settings.silence_db:g})",
        )
    fit = fit_clip(basis, seen.lmk_2d, settings=reconstruction, boxes=seen.boxes, visible=seen.known)
    if fit.error_px > reconstruction.bad_fit_px:
        raise ClipError(
            "bad_fit",
            f"{video}: the head model misses the landmarks by {fit.error_px:.2f} px on average, more than "
            f"reconstruction.bad_fit_px = {reconstruction.bad_fit_px}",
        )
    return Recording(
        lmk_2d=seen.lmk_2d,
        known=seen.known,
        boxes=seen.boxes,
        log_mel=sound.log_mel,
        waveform=sound.waveform,
        motion=np.concatenate([fit.exp, fit.jaw], axis=1),
        shape=fit.shape,
        global_pose=fit.global_pose,
        cam=fit.cam,
        points=on_mesh(basis, fit.landmarks),
        level=level,
        fit_px=fit.error_px,
    )


def on_mesh(basis: LandmarkBasis, landmarks: Float) -> Float:
    """Landmarks (T, L, 2) of the basis at their places among the mesh's 468, NaN elsewhere."""
    full = np.full((len(landmarks), 468, 2), np.nan, dtype=np.float32)
    full[:, basis.indices] = landmarks
    return full


def save(recording: Recording, path: Path) -> None:
    """Write a recording, aside first."""
    with new_hdf5(path) as file:
        for name in (one.name for one in fields(Recording)):
            value = getattr(recording, name)
            if isinstance(value, np.ndarray):
                file[name] = value
            else:
                file.attrs[name] = value


def load(path: Path) -> Recording:
    """Read what `save` wrote."""
    with h5py.File(path, "r") as file:
        values: dict[str, Any] = {name: file[name][()] for name in file}
        values |= {name: float(value) for name, value in file.attrs.items()}
        return Recording(**values)


def source_of(name: str) -> str:
    """The collection that a clip comes from: its folder, or else the first word of its file's name.

    ``grid/bbaf2n`` and ``grid_bbaf2n`` belong to ``grid``, ``demo1`` to ``demo``.
    """
    folder, _, stem = name.rpartition("/")
    if folder:
        return folder.partition("/")[0]
    first = re.split(r"[_\-. ]", stem, maxsplit=1)
    return first[0] if len(first) > 1 else (stem.rstrip("0123456789") or stem)


def is_held_out(name: str, share: float) -> bool:
    """Whether a clip belongs to the part that no choice may be made on; drawn from its name alone."""
    return zlib.crc32(f"kept apart {name}".encode()) / 2**32 < share
