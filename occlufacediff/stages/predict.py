"""Prediction of one video: the files that `occlufacediff predict` and the rule `predict_video` leave."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import numpy as np

from occlufacediff.config.crop import CropSettings
from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.config.prediction import PredictionSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.config.visibility import VisibilitySettings
from occlufacediff.errors import AssetError, ConfigError
from occlufacediff.files import written_aside
from occlufacediff.prediction.observe import Progress
from occlufacediff.prediction.predictor import Prediction, Predictor

#: What a video becomes.
MOTION, ANIMATION = "motion.npz", "animation.mp4"


def _quiet(step: str, done: int, total: int | None) -> None:
    """Progress that nobody watches."""


def _check_before_work(checkpoint_dir: Path, out_dir: Path, video: Path) -> None:
    """Refuse what cannot end well before anything is loaded."""
    for name in ("motion_prior", "denoiser"):
        if not (checkpoint_dir / name).exists():
            raise AssetError(
                f"checkpoint {checkpoint_dir}: there is no {name} in it; train the networks with `make run` (data and "
                "head model are made too), or give the folder of trained ones with --checkpoint"
            )
    place = next(folder for folder in (out_dir, *out_dir.absolute().parents) if folder.exists())
    if not (place.is_dir() and os.access(place, os.W_OK)):
        raise ConfigError(f"out {out_dir}: {place} is no folder that can be written to; give another one with --out")
    folder = out_dir / video.stem
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"out {out_dir}: {folder} is a file, and results go to a folder of that name; give --out")
    for file in (folder / MOTION, folder / ANIMATION):
        if file.is_dir():
            raise ConfigError(f"out {out_dir}: {file} is a folder, where a file is to be written; move it away")


def predict_video(
    video: Path,
    checkpoint_dir: Path,
    head: Path,
    out_dir: Path,
    *,
    settings: PredictionSettings,
    seed: int,
    device: str,
    mask: Path | None = None,
    landmarks: LandmarkSettings | None = None,
    crop: CropSettings | None = None,
    reconstruction: ReconstructionSettings | None = None,
    visibility: VisibilitySettings | None = None,
    progress: Progress = _quiet,
) -> Prediction:
    """Turn a video into ``out_dir/<stem>/motion.npz`` and ``animation.mp4``; on an error neither appears.

    Args:
        video: any file with a picture track; sound is used if there is one.
        checkpoint_dir: folder with ``motion_prior/`` and ``denoiser/``.
        head: head model (.npz) that the checkpoint was trained with.
        out_dir: results go to a folder in it, named like the video without suffix.
        settings: what to hide, how to sample and draw.
        seed: of the occlusion and of sampling.
        device: ``auto``, ``cpu`` or ``cuda``.
        mask: mask picture, folder of them or video, white = hidden.
        landmarks: settings of the detector; None for the defaults.
        crop: settings of the crop; None for the defaults.
        reconstruction: settings of the fit of identity, pose and camera; None for the defaults.
        visibility: what tells what is hidden in the video itself (with source ``masks`` by the video's name without
            suffix); None for nothing.
        progress: told of every step.

    Raises:
        ClipError: the video cannot be used; its ``reason`` is one word.
        AssetError: checkpoint or head model are missing, damaged or do not belong together.
        ConfigError: the mask does not fit the video, an occluder is no usable picture, a device is asked for that is
            not there, or ``out_dir`` cannot be written to.
    """
    _check_before_work(checkpoint_dir, out_dir, video)
    predictor = Predictor(
        checkpoint_dir,
        head,
        settings=settings,
        device=device,
        landmarks=landmarks,
        crop=crop,
        reconstruction=reconstruction,
        visibility=visibility,
    )
    prediction, draw = predictor.predict(video, mask=mask, seed=seed, progress=progress)
    folder = out_dir / video.stem
    try:
        with written_aside(folder / MOTION) as motion, written_aside(folder / ANIMATION) as animation:
            with motion.open("wb") as file:
                np.savez_compressed(file, **prediction.arrays())
            draw(animation)
    except BaseException:
        with suppress(OSError):
            folder.rmdir()
        raise
    return prediction
