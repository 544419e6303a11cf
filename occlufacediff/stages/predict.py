"""Prediction of one video: writes the files of `occlufacediff predict` and of the rule `predict_video`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from occlufacediff.config.crop import CropSettings
from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.config.prediction import PredictionSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.config.visibility import VisibilitySettings
from occlufacediff.errors import AssetError, ConfigError
from occlufacediff.export.arkit_mapping import read_mapping
from occlufacediff.export.audio import AUDIO_SUFFIX, write_wav
from occlufacediff.export.formats import check_exports, export_formats, export_rate, write_export
from occlufacediff.export.preparation import prepared
from occlufacediff.files import written_aside
from occlufacediff.media.probe import probe
from occlufacediff.media.rates import FPS
from occlufacediff.prediction.pipeline import Prediction, Predictor
from occlufacediff.prediction.progress import Progress, StepTimer, no_progress
from occlufacediff.prediction.source import SOURCE_DIGEST, SOURCE_NAME, Source
from occlufacediff.prediction.viewer import posed_motion_of, viewer_content
from occlufacediff.viewer.page import viewer_page

#: Files in the result folder of a video.
MOTION, ANIMATION, VIEWER = "motion.npz", "animation.mp4", "viewer.html"


def _check_before_work(
    checkpoint_dir: Path, out_dir: Path, video: Path, source: Source, names: Sequence[str], overwrite: bool
) -> None:
    """Report wrong inputs and outputs before anything is loaded."""
    for name in ("motion_prior", "denoiser"):
        if not (checkpoint_dir / name).exists():
            raise AssetError(
                f"checkpoint {checkpoint_dir}: it has no folder {name}; train the networks with `make run` (this also "
                "makes the data and the head model), or give a checkpoint with --checkpoint"
            )
    parent = next(folder for folder in (out_dir, *out_dir.absolute().parents) if folder.exists())
    if not (parent.is_dir() and os.access(parent, os.W_OK)):
        raise ConfigError(f"out {out_dir}: {parent} is not a writable folder; give another one with --out")
    folder = out_dir / video.stem
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"out {out_dir}: {folder} is a file, but results go to a folder of that name; give --out")
    for file in (folder / name for name in names):
        if file.is_dir():
            raise ConfigError(f"out {out_dir}: {file} is a folder, but a file is written there; move it away")
    if (folder / MOTION).exists() and not overwrite:
        _check_source(folder / MOTION, video, source)


def _check_source(motion: Path, video: Path, source: Source) -> None:
    """Refuse to replace the results of another video.

    Raises:
        ConfigError: ``motion`` was predicted from another file than ``video``.
    """
    existing = Source.read(motion)
    if existing is None or existing.digest != source.digest:
        other = "an unknown video" if existing is None else f"another video, {existing}"
        raise ConfigError(
            f"out {motion.parent.parent}: {motion.parent} holds the results of {other}; those of {video}, {source}, "
            "have the same folder name: rename the video, give another folder with --out, or replace the results with "
            "--overwrite"
        )


def load_once(workers: int = 1) -> Callable[..., Predictor]:
    """A function like `Predictor` that loads networks and head model, and starts ``workers``, at its first call only.

    The workers end with this process.
    """
    loaded: list[Predictor] = []

    def load(*arguments: Any, **options: Any) -> Predictor:
        if not loaded:
            loaded.append(Predictor(*arguments, workers=workers, **options))
        return loaded[0]

    return load


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
    viewer: bool = True,
    overwrite: bool = False,
    load: Callable[..., Predictor] = Predictor,
    progress: Progress = no_progress,
    timer: StepTimer | None = None,
) -> Prediction:
    """Predict a video and write its files to ``out_dir/<stem>/``; after an error none of them exists.

    The files are ``motion.npz``, ``animation.mp4``, ``viewer.html``, and for each export ``motion<suffix>`` and the
    audio as ``motion.wav``.

    Args:
        video: any file with a video track; its audio is used if there is any.
        checkpoint_dir: folder with ``motion_prior/`` and ``denoiser/``.
        head: head model (.npz) that the checkpoint was trained with.
        out_dir: folder of the result folder, which is named like the video without suffix.
        settings: simulated occlusion, sampling, animation and exports.
        seed: seed of the simulated occlusion and of sampling.
        device: ``auto``, ``cpu`` or ``cuda``.
        mask: mask image, folder of mask images, or mask video, white = occluded.
        landmarks: settings of the detector; None for the defaults.
        crop: settings of the crop; None for the defaults.
        reconstruction: settings of the fit of identity, pose and camera; None for the defaults.
        visibility: source of visibility (source ``masks`` finds masks by the video's name without suffix); None for
            no source.
        viewer: write ``viewer.html``.
        overwrite: replace existing results of another video.
        load: makes the predictor from the arguments of `Predictor`; `load_once` for many videos with equal settings.
        progress: called during each step.
        timer: measures each step.

    Raises:
        ClipError: the video cannot be used; its ``reason`` is one word.
        AssetError: checkpoint or head model is missing or damaged, or they do not belong together.
        ConfigError: the mask does not match the video, an occluder is not a usable image, the device does not exist,
            ``out_dir`` is not writable, or it holds the results of another video of the same stem.
    """
    timer = timer or StepTimer()
    source = Source.of(video)
    blender = None if settings.blender is None else Path(settings.blender)
    formats = export_formats(settings.export, blender) if settings.export else []
    exported = {f"motion{one.suffix}": one for one in formats}
    names = [MOTION, ANIMATION, *([VIEWER] if viewer else []), *exported]
    _check_before_work(checkpoint_dir, out_dir, video, source, names, overwrite)
    with timer.step("loading"):
        predictor = load(
            checkpoint_dir,
            head,
            settings=settings,
            device=device,
            landmarks=landmarks,
            crop=crop,
            reconstruction=reconstruction,
            visibility=visibility,
        )
    fps = export_rate(settings.export_fps, probe(video).video_fps, video) if exported else None
    mapping = None if settings.arkit_mapping is None else read_mapping(Path(settings.arkit_mapping), predictor.head)
    check_exports(formats, fps, FPS, predictor.head if mapping is None else None)
    prediction = predictor.predict(video, mask=mask, seed=seed, progress=progress, timer=timer)
    arrays = prediction.arrays() | {
        SOURCE_NAME: np.asarray(source.name),
        SOURCE_DIGEST: np.asarray(source.digest),
    }
    if exported and prediction.audio.has_track:
        names.append(f"motion{AUDIO_SUFFIX}")
    folder = out_dir / video.stem
    try:
        with ExitStack() as stack:
            paths = {name: stack.enter_context(written_aside(folder / name)) for name in names}
            with paths[MOTION].open("wb") as file:
                np.savez_compressed(file, **arrays)
            predictor.animate(prediction, paths[ANIMATION], progress=progress, timer=timer)
            if exported:
                with timer.step("export"):
                    motion, remarks = prepared(
                        posed_motion_of(prediction, video.stem),
                        predictor.head,
                        blinks=settings.export_blinks,
                        smoothing=settings.export_smoothing,
                        mapping=mapping,
                    )
                    for name, one in exported.items():
                        write_export(one, paths[name], motion, predictor.head, fps=fps)
                    if prediction.audio.has_track:
                        write_wav(paths[f"motion{AUDIO_SUFFIX}"], prediction.audio.waveform)
                    notes = (*prediction.notes, *(f"export: {remark}" for remark in remarks))
                    prediction = replace(prediction, notes=notes, exports=settings.export)
            if viewer:
                with timer.step("viewer"):
                    content = viewer_content(
                        prediction,
                        predictor.head,
                        video.stem,
                        files=[name for name in names if name != VIEWER],
                        animation=ANIMATION,
                    )
                    paths[VIEWER].write_text(viewer_page(content, video.stem), encoding="utf-8")
    except BaseException:
        with suppress(OSError):
            folder.rmdir()
        raise
    return prediction
