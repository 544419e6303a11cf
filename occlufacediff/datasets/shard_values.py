"""Arrays of one clip, read from its groups in the stages' HDF5 files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from occlufacediff.datasets.clips import Float, fit_rows, normalised_waveform
from occlufacediff.errors import AssetError
from occlufacediff.media.rates import MEL_ROWS_PER_FRAME, SAMPLES_PER_FRAME
from occlufacediff.speech.feature_columns import padding_row
from occlufacediff.speech.phones import read_phones

LANDMARKS = 468
#: Values of the coefficient files: one row per frame, and ``shape`` with one row per clip.
COEFFICIENTS = ("exp", "jaw", "global_pose", "cam", "shape")


def open_shard(path: Path) -> h5py.File:
    """Open a stage's HDF5 file for reading.

    Raises:
        AssetError: it is missing or damaged.
    """
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise AssetError(f"{path}: not a readable HDF5 file ({error}); delete it and run its stage again") from error


def face_values(coefficients: h5py.Group, clip: h5py.Group | None, name: str) -> dict[str, NDArray[Any]]:
    """Coefficients, landmarks and visibility of a clip, by the names of `datasets.clips.Clip`.

    Args:
        coefficients: the clip's group in the file of coefficients.
        clip: its group in the clip store; None: landmarks are not read.
        name: of the clip, for messages.

    Raises:
        AssetError: coefficients and landmarks have different numbers of frames.
    """
    values: dict[str, NDArray[Any]] = {key: coefficients[key][()].astype(np.float32) for key in COEFFICIENTS}
    frames = len(values["exp"])
    if clip is not None:
        landmarks = clip["landmarks"][:, :LANDMARKS].astype(np.float32)
        if len(landmarks) != frames:
            raise AssetError(f"{name}: {len(landmarks)} frames of landmarks, {frames} of coefficients; fit it again")
        values["lmk_2d"] = landmarks
        if "lmk_visible" in clip:
            values["lmk_visible"] = clip["lmk_visible"][:, :LANDMARKS] != 0
    if "known_frames" in coefficients:
        values["known"] = coefficients["known_frames"][()] != 0
    return values


def audio_values(audio: h5py.Group, frames: int, kind: str, phones: h5py.Group | None) -> Float:
    """Audio of a clip, cut or padded to its frames.

    Args:
        audio: the clip's group in the file of audio.
        frames: of the clip.
        kind: ``log_mel`` (4 T, 80), ``speech`` (speech features, 4 T, 60) or ``waveform`` (640 T,), normalised.
        phones: the clip's group in the file of phones, for speech features that are not stored with the audio.

    Raises:
        AssetError: speech features are neither stored nor can they be computed from phones.
    """
    if kind == "waveform":
        wave = fit_rows(audio["waveform"][()].astype(np.float32), SAMPLES_PER_FRAME * frames, 0.0)
        return normalised_waveform(wave)
    values = _speech_features(audio, phones) if kind == "speech" else audio["log_mel"][()].astype(np.float32)
    return fit_rows(values, MEL_ROWS_PER_FRAME * frames, padding_row(values))


def _speech_features(audio: h5py.Group, phones: h5py.Group | None) -> Float:
    """Speech features: stored with the audio (generated landmark clips), or from audio and phones."""
    if "speech" in audio:
        return np.asarray(audio["speech"][()], np.float32)
    if phones is None:
        raise AssetError(
            f"{audio.file.filename}: {audio.name} has no speech features, and no phones are given; recognise its "
            "phones first (rule recognise_phones)"
        )
    from occlufacediff.speech.features import speech_features

    waveform = audio["waveform"][()].astype(np.float32)
    return speech_features(waveform, audio["log_mel"][()].astype(np.float32), read_phones(phones))
