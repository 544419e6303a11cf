"""Prediction of one video: the files that `occlufacediff predict` and the rule `predict_video` leave."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np

from occlufacediff.config.crop import CropSettings
from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.config.prediction import PredictionSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.files import written_aside
from occlufacediff.prediction.observe import Progress
from occlufacediff.prediction.predictor import Prediction, Predictor


def _quiet(step: str, done: int, total: int | None) -> None:
    """Progress that nobody watches."""


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
        mask: mask picture or folder of them, white = hidden.
        landmarks: settings of the detector; None for the defaults.
        crop: settings of the crop; None for the defaults.
        reconstruction: settings of the fit of identity, pose and camera; None for the defaults.
        progress: told of every step.

    Raises:
        ClipError: the video cannot be used; its ``reason`` is one word.
        AssetError: checkpoint or head model are missing, damaged or do not belong together.
        ConfigError: the mask does not fit the video, or a device is asked for that is not there.
    """
    predictor = Predictor(
        checkpoint_dir,
        head,
        settings=settings,
        device=device,
        landmarks=landmarks,
        crop=crop,
        reconstruction=reconstruction,
    )
    prediction, draw = predictor.predict(video, mask=mask, seed=seed, progress=progress)
    folder = out_dir / video.stem
    try:
        with written_aside(folder / "motion.npz") as motion, written_aside(folder / "animation.mp4") as animation:
            with motion.open("wb") as file:
                np.savez_compressed(file, allow_pickle=False, **prediction.arrays())
            draw(animation)
    except BaseException:
        with suppress(OSError):
            folder.rmdir()
        raise
    return prediction
